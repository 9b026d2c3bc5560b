from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from edgepress.records.findings import PASSED, Findings
from edgepress.records.manifest import Manifest
from stages.check import work as check
from stages.ingest import work as ingest
from stages.stage import main

PARAMS: dict[str, Any] = {
    "seed": 0,
    "task": {"method": "classification"},
    "ingest": {
        "source": {"method": "folder", "path": "pictures"},
        "split": {"val": 0.2, "test": 0.3},
        "limit": None,
    },
    "check": {
        "min_side": 8,
        "max_side": 64,
        "channels": [1, 3],
        "min_per_class": {"train": 2, "val": 1, "test": 1},
        "max_quarantined": 0.1,
        "max_class_imbalance": 4.0,
        "near_duplicate_bits": 0,
    },
    "validate": {"warmup": 20, "runs": 400, "threads": 1, "confidence": 0.95},
    "gates": {
        "max_drop": 0.5,
        "min_score": {"accuracy": 0.5},
        "min_class_score": 0.1,
        "max_error": {},
        "min_agreement": {},
        "min_speedup": 1.0,
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ingested folder of two classes of 30 pictures, in train, val and test folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    rng = np.random.default_rng(0)
    for split, count in (("train", 14), ("val", 8), ("test", 8)):
        for name in ("cat", "dog"):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path


def run(**limits: Any) -> int:
    params = {**PARAMS, "check": {**PARAMS["check"], **limits}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    try:
        main("ingest", ingest)
        main("check", check)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_check_writes_findings_docs_and_metrics(project: Path) -> None:
    assert run() == 0
    findings = Findings.read(Path("data/check"))
    assert findings.images == 60
    assert not findings.failed("critical")
    manifest = Manifest.read(Path("data/manifest"))
    assert Path("data/check", PASSED).read_text() == f"{manifest.table_sha256}\n"
    assert "Data check" in Path("data/check/docs/index.html").read_text()
    metrics = json.loads(Path("metrics/check.json").read_text())
    assert (metrics["images"], metrics["warnings"]) == (60, 0)
    assert set(metrics["offending"].values()) == {0}
    assert not Path(".edgepress/check").exists()


def test_check_counts_warnings_and_goes_on(project: Path) -> None:
    shutil.copy("pictures/val/cat/0.png", "pictures/val/cat/copy.png")
    Path("pictures/train/dog/broken.png").write_bytes(b"")
    assert run() == 0
    metrics = json.loads(Path("metrics/check.json").read_text())
    assert metrics["warnings"] == 2
    assert metrics["offending"]["same_file_twice"] == 1
    assert metrics["offending"]["decodes"] == 1


def test_check_stops_on_a_critical_finding_names_the_rows_and_keeps_the_docs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy("pictures/train/cat/3.png", "pictures/test/cat/leak.png")
    assert run() == 2
    assert capsys.readouterr().err == (
        "check: data/manifest: same_file_in_two_splits: 2 row(s), "
        "test/cat/leak.png (train/cat/3.png in train), "
        "train/cat/3.png (test/cat/leak.png in test); "
        "all rows are in .edgepress/check/offending.csv; "
        "mend the splits, or set ingest.split.leaks: quarantine\n"
    )
    assert not Path("data/check").exists()
    assert not list(Path("data").glob(".*"))
    assert Findings.read(Path(".edgepress/check")).failed("critical")
    assert Path(".edgepress/check/docs/index.html").is_file()
    assert "leak.png" in Path(".edgepress/check/offending.csv").read_text()
    Path("pictures/test/cat/leak.png").unlink()
    assert run() == 0
    assert not Path(".edgepress/check").exists()


def split(**values: Any) -> dict[str, Any]:
    """Return an ingest section with more said about its splits."""
    ingest = PARAMS["ingest"]
    return {**ingest, "split": {**ingest["split"], **values}}


def test_check_passes_when_the_leaks_it_refuses_were_quarantined(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("pictures/train/cat/3.png", "pictures/test/cat/leak.png")
    monkeypatch.setitem(PARAMS, "ingest", split(leaks="quarantine"))
    assert run(max_quarantined=0.0) == 0
    said = capsys.readouterr().err
    assert "quarantined as leaks: 1 images whose copy or group is in val or test" in said
    assert Manifest.read(Path("data/manifest")).quarantined == {"leak": 1}
    assert Manifest.read(Path("data/manifest")).items == {"train": 27, "val": 16, "test": 17}


def test_check_refuses_near_copies_in_the_sources_own_splits_when_they_are_grouped(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Image.open("pictures/train/cat/3.png") as picture:
        picture.save("pictures/test/cat/leak.bmp")
    assert run() == 0
    warned = capsys.readouterr().err
    assert "near_duplicate_in_two_splits: 2 row(s), test/cat/leak.bmp (train/cat/3.png" in warned
    grouping = {"by": "near_duplicate", "bits": 0}
    monkeypatch.setitem(PARAMS, "ingest", split(group=grouping))
    assert run() == 2
    refused = capsys.readouterr().err.splitlines()
    assert refused[0].startswith("ingest: 1 groups by near_duplicate, the largest of 2 images; 59")
    assert "group_in_two_splits: 2 row(s), test/cat/leak.bmp (train/cat/3.png in" in refused[1]
    assert run(leak="warn") == 0
    monkeypatch.setitem(PARAMS, "ingest", split(group=grouping, leaks="quarantine"))
    assert run() == 0
    assert Manifest.read(Path("data/manifest")).quarantined == {"leak": 1}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_side": "8"}, "check.min_side: Input should be a valid integer"),
        ({"max_side": 4}, "min_side 8 is above max_side 4"),
        ({"chanels": [1]}, "check.chanels: unknown key"),
    ],
)
def test_check_refuses_wrong_limits_in_one_line(
    limits: dict[str, Any], message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(**limits) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not Path("data/check").exists()


def test_check_without_a_manifest_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    with pytest.raises(SystemExit) as ended:
        main("check", check)
    assert ended.value.code == 2
    assert "data/manifest/manifest.json: file not found" in capsys.readouterr().err


def test_check_names_its_warnings_and_the_bounds_that_the_test_split_cannot_prove(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("pictures/val/cat/0.png", "pictures/val/cat/copy.png")
    monkeypatch.setitem(PARAMS["gates"], "min_score", {"accuracy": 0.9, "unheard": 0.99})
    assert run() == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("check: warning: data/manifest: same_file_twice: 1 row(s), ")
    assert "gates.min_score.accuracy 0.9 needs 35 test items" in lines[1]
    assert "there are 16" in lines[1]
    assert json.loads(Path("metrics/check.json").read_text())["unprovable"] == 1
