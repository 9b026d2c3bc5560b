"""What the stage train asks of the run before it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edgepress.records.manifest import Manifest
from edgepress.records.selection import Selection
from stages import train
from stages.places import MANIFEST, SELECTION
from stages.stage import main


def test_too_few_images_to_calibrate_on_are_refused_when_training_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stages.train"])
    variants = {"fp32": {"method": "none"}, "int8": {"method": "ptq", "images": 31}}
    unused = {"int4": {"method": "ptq", "images": 99}}
    params = {"seed": 0, "precisions": ["fp32", "int8"], "quantize": {**unused, **variants}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Selection(
        method="random", params={}, seed=0, rows=40, budget=30, temperature=None, order=None,
        concepts=(), table_sha256="0" * 64,
    ).write(SELECTION)  # fmt: skip
    with pytest.raises(SystemExit, match="2"):
        main("train", train.work)
    assert capsys.readouterr().err == (
        "train: params.yaml: quantize.int8.images: 31 asked for, only 30 training images are kept; "
        "ask for at most 30\n"
    )


def test_weights_of_no_class_are_refused_when_training_starts_whichever_stage_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stages.train"])
    params = {
        "seed": 0,
        "precisions": ["fp32"],
        "quantize": {"fp32": {"method": "none"}},
        "train": {"recipe": {"class_weights": {"cat": 2.0}}},
        "distill": {"recipe": {"class_weights": "balanced"}},
        "slim": {"method": "group_magnitude", "class_weights": {"dogs": 2.0}},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Selection(
        method="random", params={}, seed=0, rows=40, budget=30, temperature=None, order=None,
        concepts=(), table_sha256="0" * 64,
    ).write(SELECTION)  # fmt: skip
    Manifest(
        task={"method": "classification"}, source="folder", container="file", column=None,
        inside=False, classes=("cat", "dog"), items={}, counts={}, quarantined={},
        table_sha256="0" * 64, images_sha256=None,
    ).write(MANIFEST)  # fmt: skip
    with pytest.raises(SystemExit, match="2"):
        main("train", train.work)
    assert capsys.readouterr().err == (
        "train: params.yaml: slim.class_weights.dogs: no such class (did you mean dog?); the 2 are "
        "cat, dog\n"
    )
