from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from edgepress.backbones import bundle
from edgepress.methods import resolve
from edgepress.quantization.calibration import CalibrationSet
from edgepress.records.exported import Exported
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import Quantized, Recipe
from edgepress.records.record import sha256_folder
from edgepress.runtimes import onnxruntime
from stages import export
from stages.stage import main

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}
FP32, INT8 = "x86_64-onnxruntime-fp32", "x86_64-onnxruntime-int8"
PARAMS: dict[str, Any] = {
    "seed": 0,
    "quantize": {"fp32": {"method": "none"}, "int8": {"method": "ptq"}},
    "export": {"onnx": {"opset": 18}},
    "targets": {key: {"export": "onnx", "baseline": FP32} for key in (FP32, INT8)},
}


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a run leaves after quantize."""
    root = tmp_path_factory.mktemp("quantized")
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    for precision in ("fp32", "int8"):
        write(root / "data/quantized" / precision, int8=precision == "int8")
    return root


def write(folder: Path, *, int8: bool) -> None:
    torch.manual_seed(0)
    network = resolve("backbones", BACKBONE, "test", "backbone")(1, 10).eval()
    draft = bundle.Draft(BACKBONE, tuple("0123456789"), SPEC, {"stage": "slim"})
    bundle.save(folder / "bundle", network, draft)
    if int8:
        images = np.random.default_rng(0).normal(size=(12, 1, 16, 16)).astype(np.float32)
        names = tuple(f"image-{row}" for row in range(12))
        CalibrationSet(names, ("0" * 64,) * 12, images, SPEC).write(folder / "calibration")
    kind: Any = "int8" if int8 else "float32"
    Quantized(
        precision=folder.name,
        method="ptq" if int8 else "none",
        recipe=Recipe(weights=kind, activations=kind, per_channel=True),
        bundle_sha256=sha256_folder(folder / "bundle"),
        calibration_sha256=sha256_folder(folder / "calibration") if int8 else None,
        reference_sha256="0" * 64,
    ).write(folder)


@pytest.fixture
def root(quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(quantized, copy)
    monkeypatch.chdir(copy)
    return copy


def run(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setattr(sys, "argv", ["export", *keys])
    main("export", export.work, keyed=True)


@pytest.mark.parametrize("target", [FP32, INT8])
def test_export_runs_and_names_what_it_is_made_from_when_written(root, monkeypatch, target):
    run(monkeypatch, target)
    folder = root / "data/exported" / target
    exported = Exported.read(folder)
    source = Quantized.read(root / "data/quantized" / exported.target.precision)
    assert str(exported.target) == target
    assert exported.bundle_sha256 == source.bundle_sha256
    assert exported.calibration_sha256 == source.calibration_sha256
    params = onnxruntime.Params(method="onnxruntime", threads=1)
    session = onnxruntime.load(folder, exported, params=params)
    assert session.run(np.zeros(SPEC.shape, np.float32)).shape == (1, 10)
    metrics = json.loads((root / f"metrics/export-{target}.json").read_text())
    assert metrics["size_bytes"] == exported.size_bytes
    assert not list(root.glob("data/exported/.*"))


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("arm-onnxruntime", {}, "target 'arm-onnxruntime': expected device-runtime-precision"),
        ("x86_64-onnxruntime-int4", {}, "'x86_64-onnxruntime-int4' is missing under"),
        (FP32, {"targets": {FP32: {"export": "onx"}}}, f"targets.{FP32}.export: 'onx' is not one"),
        (FP32, {"targets": {FP32: {}}}, "'export' is missing under"),
        (FP32, {"export": {}}, "'onnx' is missing under export"),
        (FP32, {"export": {"onnx": {"opset": 3}}}, "export.onnx.opset: Input should be greater"),
        (FP32, {"export": {"onnx": None}}, "export.onnx: expected a mapping"),
        (
            "x86_64-onnxruntim-fp32",
            {"targets": {"x86_64-onnxruntim-fp32": {"export": "onnx"}}},
            "runtime 'onnxruntim' is not one of",
        ),
        (
            "x86_64-onnxruntime-int4",
            {"targets": {"x86_64-onnxruntime-int4": {"export": "onnx"}}},
            "data/quantized/int4/quantized.json: file not found",
        ),
    ],
)
def test_stage_ends_with_one_line_and_nothing_written_when_a_parameter_is_bad(
    root, monkeypatch, capsys, key, change, message
):
    (root / "params.yaml").write_text(yaml.safe_dump({**PARAMS, **change}))
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, key)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (root / "data/exported").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"x"), "images.npy: is not the file calibration.json names"),
        (lambda path: path.unlink(), "images.npy: file not found; run the quantize stage again"),
    ],
)
def test_stage_refuses_when_the_calibration_images_are_not_those_recorded(
    root, monkeypatch, capsys, damage, message
):
    damage(root / "data/quantized/int8/calibration/images.npy")
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, INT8)
    assert message in capsys.readouterr().err


def test_older_export_stays_when_a_new_one_fails(root, monkeypatch, capsys):
    run(monkeypatch, FP32)
    before = sha256_folder(root / "data/exported" / FP32)
    weights = root / "data/quantized/fp32/bundle/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, FP32)
    assert "weights.safetensors: does not match" in capsys.readouterr().err
    assert sha256_folder(root / "data/exported" / FP32) == before
    assert not list(root.glob("data/exported/.*"))
