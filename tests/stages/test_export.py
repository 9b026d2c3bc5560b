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

from edgepress.bundles import bundle
from edgepress.records.calibration import IMAGES, Calibration
from edgepress.records.exported import Exported
from edgepress.records.inputs import InputSpec
from edgepress.records.not_exported import NotExported
from edgepress.records.quantized import Quantized, Recipe
from edgepress.records.record import sha256_file, sha256_folder
from edgepress.runtimes import onnxruntime
from stages import export
from stages.stage import main
from tests.classified import network, open_task

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}
FP32, INT8 = "x86_64-onnxruntime-fp32", "x86_64-onnxruntime-int8"
PARAMS: dict[str, Any] = {
    "seed": 0,
    "quantize": {"fp32": {"method": "none"}, "int8": {"method": "ptq"}},
    "export": {"onnx": {"opset": 18}},
    "places": ["x86_64-onnxruntime"],
    "precisions": ["fp32", "int8"],
    "baseline": "fp32",
}


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a run leaves after quantize."""
    root = tmp_path_factory.mktemp("quantized")
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    for precision in ("fp32", "int8"):
        write(root / "models/quantized" / precision, int8=precision == "int8")
    return root


def write(folder: Path, *, int8: bool) -> None:
    torch.manual_seed(0)
    draft = bundle.Draft(
        task=open_task(tuple("0123456789")),
        backbone=BACKBONE,
        head={"method": "linear"},
        input=SPEC,
        lineage={"stage": "slim"},
    )
    bundle.save(folder / "bundle", network(SPEC, 10, BACKBONE).eval(), draft)
    if int8:
        calibrate(folder / "calibration")
    kind: Any = "int8" if int8 else "float32"
    Quantized(
        precision=folder.name,
        method="ptq" if int8 else "none",
        recipe=Recipe(weights=kind, activations=kind, per_channel=True),
        bundle_sha256=sha256_folder(folder / "bundle"),
        calibration_sha256=sha256_folder(folder / "calibration") if int8 else None,
        reference_sha256="0" * 64,
    ).write(folder)


def calibrate(folder: Path) -> None:
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 1), np.uint8)
    np.save(folder / IMAGES, images, allow_pickle=False)
    Calibration(
        ids=tuple(f"image-{row}" for row in range(12)),
        sha256=("0" * 64,) * 12,
        input=SPEC,
        images_sha256=sha256_file(folder / IMAGES),
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
    folder = root / "targets/exported" / target
    exported = Exported.read(folder)
    source = Quantized.read(root / "models/quantized" / exported.target.precision)
    assert str(exported.target) == target
    assert exported.bundle_sha256 == source.bundle_sha256
    assert exported.calibration_sha256 == source.calibration_sha256
    params = onnxruntime.Params(method="onnxruntime", threads=1)
    session = onnxruntime.load(folder, exported, params=params)
    answer = session.run({"image": np.zeros(SPEC.shape, np.float32)})
    assert answer["logits"].shape == (1, 10)
    metrics = json.loads((root / f"metrics/export-{target}.json").read_text())
    assert metrics["size_bytes"] == exported.size_bytes
    assert not list(root.glob("targets/exported/.*"))


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("arm-onnxruntime", {}, "target 'arm-onnxruntime': expected device-runtime-precision"),
        (FP32, {"export": {}}, "'onnx' is missing under export"),
        (FP32, {"export": {"onnx": {"opset": 3}}}, "export.onnx.opset: Input should be greater"),
        (FP32, {"export": {"onnx": None}}, "export.onnx: expected a mapping"),
        (
            "x86_64-onnxruntim-fp32",
            {},
            "runtime 'onnxruntim' is not one of",
        ),
        (
            "x86_64-onnxruntime-int4",
            {},
            "models/quantized/int4/quantized.json: file not found",
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
    assert not (root / "targets/exported").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"x"), "calibration: changed since quantize@int8"),
        (lambda path: path.unlink(), "calibration: changed since quantize@int8"),
    ],
)
def test_stage_refuses_when_the_calibration_images_are_not_those_recorded(
    root, monkeypatch, capsys, damage, message
):
    damage(root / "models/quantized/int8/calibration/images.npy")
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, INT8)
    assert message in capsys.readouterr().err


def test_older_export_stays_when_a_new_one_fails(root, monkeypatch, capsys):
    run(monkeypatch, FP32)
    before = sha256_folder(root / "targets/exported" / FP32)
    weights = root / "models/quantized/fp32/bundle/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, FP32)
    assert "bundle: changed since quantize@fp32; run it again" in capsys.readouterr().err
    assert sha256_folder(root / "targets/exported" / FP32) == before
    assert not list(root.glob("targets/exported/.*"))


def test_other_targets_go_on_when_a_network_cannot_be_written(root, monkeypatch, capsys):
    def refuse(*arguments: Any, **options: Any) -> None:
        raise NotImplementedError("no such operator: aten::fold")

    with monkeypatch.context() as patch:
        patch.setattr("torch.onnx.export", refuse)
        run(monkeypatch, FP32)
    folder = root / "targets/exported" / FP32
    assert [path.name for path in folder.iterdir()] == ["not_exported.json"]
    assert "no such operator: aten::fold" in NotExported.read(folder).reason
    assert capsys.readouterr().err.count("\n") == 1
    assert json.loads((root / f"metrics/export-{FP32}.json").read_text())["exported"] == 0
    run(monkeypatch, FP32)
    assert Exported.read(folder).format == "onnx"
