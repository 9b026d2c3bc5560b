"""What the stage train asks of the run before it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edgepress.records.selection import Selection
from stages import train
from stages.places import SELECTION
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
