"""Stage validate: verdicts for a real export of a real classifier; a failure is a result."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules, build_manifest
from edgepress.devices import host
from edgepress.methods import resolve
from edgepress.params import validate
from edgepress.records.exported import Exported, ExportedFile
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Measurement
from edgepress.records.quantized import REFERENCE, Quantized, Recipe
from edgepress.records.record import sha256_file
from edgepress.records.target import Target
from edgepress.records.verdict import Verdicts
from stages.stage import main
from stages.validate import work

ROOT = Path(__file__).parents[2]
SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
KEY = f"{sorted(host.here().devices)[0]}-onnxruntime-fp32"
OTHER = KEY.replace("fp32", "int8")
PARAMS: dict[str, Any] = {
    "seed": 0,
    "targets": {
        KEY: {"export": "onnx", "baseline": KEY},
        OTHER: {"export": "onnx", "baseline": KEY},
    },
    "validate": {"warmup": 20, "runs": 400, "threads": 1, "confidence": 0.95},
    "gates": {
        "max_accuracy_drop_points": 3.0,
        "min_cosine": {"fp32": 0.9999, "int8": 0.98},
        "max_p99_ms": 200.0,
        "max_size_mb": 5.0,
        "max_peak_memory_mb": 1024.0,
        "min_speedup": 1000.0,
    },
}


def onnx_classifier(weights: np.ndarray, bias: np.ndarray) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
    ]
    held = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 16, 16])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, "digits", [image], [logits], held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(made.SerializeToString())


def export(folder: Path, key: str, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    Exported(
        target=Target.parse(key),
        format="onnx",
        entry="model.onnx",
        files=(ExportedFile(path="model.onnx", sha256=digest, bytes=len(content)),),
        input=SPEC,
        layout="NCHW",
        input_name="image",
        output_name="logits",
        classes=tuple("0123456789"),
        tools={},
        bundle_sha256="b" * 64,
        calibration_sha256=None,
    ).write(folder)


def answer(folder: Path, precision: str, test: ImageSet, logits: np.ndarray) -> None:
    folder.mkdir(parents=True)
    np.savez(folder / REFERENCE, ids=np.array(test.ids), labels=test.labels, logits=logits)
    Quantized(
        precision=precision,
        method="none",
        recipe=Recipe(weights="float32", activations="float32", per_channel=False),
        bundle_sha256="b" * 64,
        calibration_sha256=None,
        reference_sha256=sha256_file(folder / REFERENCE),
    ).write(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory as the stages before leave it."""
    root = tmp_path_factory.mktemp("run")
    source = resolve("data.sources", {"method": "digits"}, "test", "source")
    rules = validate(Rules, {"split": {"val": 0.1, "test": 0.25}, "limit": None}, "test", "rules")
    manifest = root / "data/manifest"
    manifest.mkdir(parents=True)
    build_manifest(source(manifest), manifest, rules)
    train, test = (ImageSet.open(manifest, split) for split in ("train", "test"))
    columns = np.concatenate(list(train.batches(SPEC, 64))).reshape(len(train), -1)
    columns = np.hstack([columns, np.ones((len(train), 1))]).astype(np.float64)
    ridge = columns.T @ columns + 10 * np.eye(257)
    solved = np.linalg.solve(ridge, columns.T @ np.eye(10)[train.labels]).astype(np.float32)
    images = np.concatenate(list(test.batches(SPEC, 64))).reshape(len(test), -1)
    logits = images @ solved[:-1] + solved[-1]
    content = onnx_classifier(solved[:-1], solved[-1])
    for key, precision in ((KEY, "fp32"), (OTHER, "int8")):
        answer(root / "data/quantized" / precision, precision, test, logits)
        export(root / "data/exported" / key, key, content)
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of it."""
    root = tmp_path / "run"
    shutil.copytree(made, root)
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    monkeypatch.chdir(root)
    return root


def run(key: str) -> None:
    """Run the stage in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["validate", key])
        main("validate", work, keyed=True)


def test_records_and_metrics_are_written_when_an_export_is_healthy(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.validate", KEY],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    measured = Measurement.read(place / "data/measured" / KEY)
    assert measured.not_run == {}
    assert measured.accuracy is not None
    assert measured.accuracy.images == len(ImageSet.open(place / "data/manifest", "test"))
    assert measured.accuracy.top1.value > 0.9
    outcomes = {v.gate: v.outcome for v in Verdicts.read(place / "data/measured" / KEY).verdicts}
    assert "speedup" not in outcomes
    # A p99 may be refused while other work shares the machine; nothing else may.
    assert {gate for gate, outcome in outcomes.items() if outcome != "pass"} <= {"latency"}
    metrics = json.loads((place / f"metrics/validate-{KEY}.json").read_text())
    assert metrics["top1"] == pytest.approx(measured.accuracy.top1.value, abs=1e-6)
    assert metrics["verdicts"]["fail"] == 0
    assert all(isinstance(v, int | float | dict) for v in metrics.values())


def test_failing_gate_is_a_result_and_not_an_error(place: Path) -> None:
    run(OTHER)
    verdicts = Verdicts.read(place / "data/measured" / OTHER)
    (speedup,) = (v for v in verdicts.verdicts if v.gate == "speedup")
    assert speedup.outcome == "fail"
    assert "keep fp32" in speedup.reason
    assert verdicts.outcome == "fail"


def test_truncated_export_is_a_failing_verdict(place: Path) -> None:
    file = place / "data/exported" / KEY / "model.onnx"
    file.write_bytes(file.read_bytes()[:-100])
    run(KEY)
    verdicts = Verdicts.read(place / "data/measured" / KEY)
    assert verdicts.verdicts[0].gate == "integrity"
    assert verdicts.outcome == "fail"
    assert Measurement.read(place / "data/measured" / KEY).latency is None


def _forget_an_image(place: Path) -> None:
    folder = place / "data/quantized/fp32"
    with np.load(folder / REFERENCE) as held:
        parts = {name: held[name][1:] for name in ("ids", "labels", "logits")}
    np.savez(folder / REFERENCE, **parts)
    record = Quantized.read(folder)
    digest = sha256_file(folder / REFERENCE)
    record.model_copy(update={"reference_sha256": digest}).write(folder)


def _touch_the_reference(place: Path) -> None:
    with (place / "data/quantized/fp32" / REFERENCE).open("ab") as file:
        file.write(b"\0")


def _change(place: Path, section: str, **values: object) -> None:
    changed = {**PARAMS, section: {**PARAMS[section], **values}}
    (place / "params.yaml").write_text(yaml.safe_dump(changed))


BROKEN = {
    "images of another split": (_forget_an_image, "are not the"),
    "reference changed": (_touch_the_reference, "changed since quantize@fp32"),
    "no export": (lambda place: shutil.rmtree(place / f"data/exported/{KEY}"), "exported.json"),
    "no reference": (lambda place: shutil.rmtree(place / "data/quantized"), "quantized.json"),
    "few runs": (lambda place: _change(place, "validate", runs=10), "validate.runs"),
    "unknown gate": (lambda place: _change(place, "gates", max_p98_ms=1.0), "max_p99_ms?"),
    "no bound": (lambda place: _change(place, "gates", min_cosine={}), "min_cosine"),
    "no such target": (lambda place: _change(place, "targets", **{KEY: {}}), "baseline"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_bad_input_is_one_line_and_leaves_nothing(
    case: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, words = BROKEN[case]
    spoil(place)
    with pytest.raises(SystemExit) as stop:
        run(KEY)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.count("\n") == 1
    assert said.startswith(f"validate@{KEY}: ")
    assert words in said
    assert not (place / "data/measured" / KEY).exists()
    assert not (place / "metrics").exists()


def test_validate_imports_no_torch() -> None:
    code = "import sys, stages.validate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
