"""`edgepress compare` on project folders; revisions are in tests/pipeline/test_dvc_commands.py."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgepress.cli import main
from edgepress.records.bundle import Bundle
from edgepress.records.inputs import InputSpec
from edgepress.records.predictions import Predictions
from edgepress.records.quantized import BUNDLE, REFERENCE, Quantized, Recipe
from edgepress.records.reference import OpenReference, Reference

ITEMS = 100
IDS = tuple(f"item-{number}" for number in range(ITEMS))
TRUTH = np.arange(ITEMS) % 2


def answers(wrong: int) -> dict[str, np.ndarray]:
    label = np.where(np.arange(ITEMS) < wrong, 1 - TRUTH, TRUTH)
    return {"label": label, "confidence": np.full(ITEMS, 0.9, np.float32)}


def write_run(folder: Path, wrong: int, epochs: int) -> Path:
    """Write what compare reads of a finished run that is wrong about so many items."""
    quantized, target = folder / "models/quantized/fp32", folder / "targets/measured/x-y-fp32"
    target.mkdir(parents=True)
    (folder / "models/teacher").mkdir(parents=True)
    held = OpenReference(IDS, {"label": TRUTH}, answers(wrong), (0,), {}, "")
    Reference.create(quantized / REFERENCE, held)
    spec = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
    Bundle(
        task={"method": "classification"}, backbone={}, head={}, classes=("cat", "dog"),
        input=spec, parameters=1, macs=1, lineage={}, weights_sha256="0",
    ).write(quantized / BUNDLE)  # fmt: skip
    recipe = Recipe(weights="float32", activations="float32", per_channel=True)
    Quantized(
        precision="fp32", method="none", recipe=recipe, bundle_sha256="0",
        calibration_sha256=None, reference_sha256="0",
    ).write(quantized)  # fmt: skip
    Predictions.create(folder / "models/teacher", IDS, answers(wrong // 2))
    Predictions.create(target, IDS, answers(wrong))
    params = {
        "validate": {"confidence": 0.9},
        "train": {"recipe": {"epochs": epochs}},
        "places": ["x-y"],
        "precisions": ["fp32", "int8"],
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def test_runs_stand_side_by_side_when_two_folders_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("before"), 40, 4)
    write_run(Path("after"), 4, 8)
    assert main(["compare", "before", "after", "--json", "found.json"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Accuracy on 100 test items, A before, B after" in told
    assert "B better by, points (90 %)" in told
    assert "x-y-fp32 60.00 % 96.00 % +36.00 (" in told
    assert "train.recipe.epochs: 4 -> 8" in told
    found = json.loads(Path("found.json").read_text())
    assert [row["model"] for row in found["rows"] if row["score"] == "accuracy"] == [
        "teacher",
        "quantized/fp32",
        "x-y-fp32",
    ]
    assert {row["score"] for row in found["rows"]} == {"accuracy", "balanced_accuracy"}
    assert all(row["gain"]["low"] > 0 for row in found["rows"] if row["score"] == "accuracy")


def test_no_parameter_differs_when_a_run_is_compared_with_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(write_run(tmp_path / "run", 10, 4))
    assert main(["compare", folder, folder]) == 0
    told = capsys.readouterr().out
    assert "No parameter differs." in told
    assert "better by" in told
    assert told.count("unclear") == 3


def test_one_line_says_what_is_wrong_when_a_run_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "params.yaml").write_text("precisions: [fp32]\n")
    (tmp_path / "bare").mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    whole = str(write_run(tmp_path / "run", 10, 4))
    for name, expected in (
        ("empty", "empty: no finished run there (models/quantized); run the pipeline first"),
        ("bare", "bare/params.yaml: file not found"),
        ("nowhere", "nowhere: neither a folder, a git revision nor an experiment of DVC"),
        ("HEAD", "HEAD: has no dvc.lock; commit it after a run to compare with it later"),
    ):
        assert main(["compare", whole, name, "--json", "found.json"]) == 2
        told = capsys.readouterr().err
        assert expected in told
        assert told.count("\n") == 1
        assert not Path("found.json").exists()
    assert main(["compare", whole, whole, "--json", "empty"]) == 2
    assert "--json empty: is a folder; name a file" in capsys.readouterr().err
