from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from edgepress.data import table
from edgepress.data.images import ImageSet
from edgepress.records.manifest import Manifest
from edgepress.records.record import sha256_folder
from stages.ingest import work
from stages.stage import main

ROOT = Path(__file__).parents[2]
TASK = {"method": "classification"}
SPLIT = {"val": 0.2, "test": 0.3}
FOLDER = {"source": {"method": "folder", "path": "pictures"}, "split": SPLIT, "limit": None}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two classes of 20 pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ingest"])
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            picture.save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path


def run(section: Any) -> int:
    Path("params.yaml").write_text(yaml.safe_dump({"seed": 0, "task": TASK, "ingest": section}))
    try:
        main("ingest", work)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_ingest_writes_manifest_and_metrics(project: Path) -> None:
    Path("pictures/cat/broken.png").write_bytes(b"")
    assert run(FOLDER) == 0
    images = ImageSet.open(Path("data/manifest"))
    assert len(images) == 40
    assert not Path("data/manifest/images").exists()
    metrics = json.loads(Path("metrics/ingest.json").read_text())
    assert (metrics["images"], metrics["quarantined"]) == (40, 1)
    assert metrics["reasons"] == {"empty": 1}
    assert sum(metrics["splits"].values()) == 40
    assert metrics["classes"] == Manifest.read(Path("data/manifest")).counts
    assert [path.name for path in Path("data").iterdir()] == ["manifest"]


def test_ingest_ends_the_same_when_an_earlier_run_was_killed(project: Path) -> None:
    assert run(FOLDER) == 0
    whole = sha256_folder(Path("data/manifest"))
    left = Path("data/.manifest.partial")
    left.mkdir()
    (left / "manifest.parquet").write_bytes(b"half")
    assert run(FOLDER) == 0
    assert sha256_folder(Path("data/manifest")) == whole
    assert not left.exists()


def test_ingest_says_how_images_were_grouped_and_how_many_stand_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = {"by": "id", "pattern": r"\d\d?(?=\.png)(?<!19)"}
    assert run({**FOLDER, "split": {**SPLIT, "group": pattern}}) == 0
    assert "ingest: 19 groups by id, the largest of 2 images; 2 images" in capsys.readouterr().err
    metrics = json.loads(Path("metrics/ingest.json").read_text())
    assert metrics["groups"] == {"groups": 19, "largest": 2, "alone": 2}


def empty_class() -> None:
    Path("pictures/emu").mkdir()


def class_of_junk() -> None:
    Path("pictures/emu").mkdir()
    Path("pictures/emu/1.png").write_bytes(b"junk")


@pytest.mark.parametrize(
    ("change", "prepare", "message"),
    [
        ({"source": {"method": "foldr"}}, None, "ingest.source.method: 'foldr' is not one of"),
        ({"source": "folder"}, None, "ingest.source: expected a mapping"),
        ({"source": {"method": "folder", "path": "gone"}}, None, "gone: no such folder"),
        ({"limit": "all"}, None, "ingest.limit: Input should be a valid integer"),
        ({"limit": 0}, None, "ingest.limit: Input should be greater than 0 (got 0)"),
        ({"limt": 3}, None, "ingest.limt: unknown key"),
        ({"split": {"val": 0.5, "test": 0.5}}, None, "val + test must stay below 1"),
        ({"split": {"val": 0.0, "test": 0.5}}, None, "ingest.split.val: Input should be greater"),
        ({"split": {"val": 1e-9, "test": 0.5}}, None, "the val split has no usable image"),
        (
            {"split": {**SPLIT, "group": {"by": "id", "pattern": "[a"}}},
            None,
            "params.yaml: ingest.split.group.pattern: Value error, not a regular expression",
        ),
        (
            {"split": {**SPLIT, "group": {"by": "id", "pattern": "patient"}}},
            None,
            "ingest.split.group.pattern: 'patient' is found in no id, for example cat/0.png",
        ),
        (
            {"split": {**SPLIT, "group": {"by": "column", "column": "patient"}}},
            None,
            "ingest.split.group: by: column needs images in Parquet files, folder has none; group",
        ),
        (
            {"split": {**SPLIT, "group": {"by": "folder"}}, "limit": None},
            None,
            "of 40 the largest group, with those that copies link to it, has 20; change",
        ),
        ({}, empty_class, "pictures/emu: the class has no file"),
        ({}, class_of_junk, "the class 'emu' has no usable image; 1 were quarantined, for example"),
    ],
)
def test_ingest_refuses_in_one_line_and_leaves_nothing(
    change: dict[str, Any],
    prepare: Callable[[], None] | None,
    message: str,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if prepare is not None:
        prepare()
    assert run({**FOLDER, **change}) == 2
    said = capsys.readouterr().err
    assert said.startswith("ingest: ")
    assert message in said
    assert said.count("\n") == 1
    assert not list(Path("data").glob("*")) if Path("data").exists() else True
    assert not Path("metrics").exists()


def test_ingest_refuses_a_section_that_is_no_mapping(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("digits") == 2
    assert "ingest" in capsys.readouterr().err


def test_ingest_keeps_the_old_manifest_when_it_fails(project: Path) -> None:
    assert run(FOLDER) == 0
    before = sha256_folder(Path("data/manifest"))
    empty_class()
    assert run(FOLDER) == 2
    assert sha256_folder(Path("data/manifest")) == before


def test_ingest_says_so_when_the_disk_is_full(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = table.pq.ParquetWriter
    full = "/dev/full"
    monkeypatch.setattr(table.pq, "ParquetWriter", lambda path, *a, **kw: real(full, *a, **kw))
    assert run(FOLDER) == 2
    assert capsys.readouterr().err == (
        "ingest: no space left on the device; free some and run again\n"
    )
    assert list(Path("data").iterdir()) == []


def test_ingest_runs_as_a_module_on_the_digits(project: Path) -> None:
    section = {"source": {"method": "digits"}, "split": SPLIT, "limit": 100}
    Path("params.yaml").write_text(yaml.safe_dump({"seed": 0, "task": TASK, "ingest": section}))
    command = [sys.executable, "-m", "stages.ingest"]
    ran = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ImageSet.open(Path("data/manifest"))) == 300
