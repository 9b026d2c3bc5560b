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

from edgepress import intervals
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.devices import host
from edgepress.methods import resolve
from edgepress.params import validate
from edgepress.records.changed import Changed
from edgepress.records.diagnosis import Diagnosed
from edgepress.records.exported import Exported, ExportedFile, Part, Port
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Measurement
from edgepress.records.not_exported import NotExported
from edgepress.records.predictions import Predictions
from edgepress.records.quantized import REFERENCE, Quantized, Recipe
from edgepress.records.record import sha256_folder
from edgepress.records.reference import SAMPLE, OpenReference, Reference, sampled
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec
from edgepress.records.verdict import Verdicts
from stages import judge
from stages.stage import main
from stages.validate import work
from tests.classified import ENTRY, classified, open_task

ROOT = Path(__file__).parents[2]
CLASSES = tuple("0123456789")
BUNDLE = "b" * 64
SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
IMAGE = Port(tensor=SPEC.tensors[0], stored="image", layout="NCHW")
LOGITS = Port(
    tensor=TensorSpec(name="logits", shape=(1, 10), layout="NC"), stored="logits", layout="NC"
)
KEY = f"{sorted(host.here().devices)[0]}-onnxruntime-fp32"
OTHER = KEY.replace("fp32", "int8")
PARAMS: dict[str, Any] = {
    "seed": 0,
    "task": ENTRY,
    "places": [KEY.removesuffix("-fp32")],
    "precisions": ["fp32", "int8"],
    "baseline": "fp32",
    "budgets": {"default": {"max_p99_ms": 200.0, "max_size_mb": 5.0, "max_peak_memory_mb": 1024.0}},
    "validate": {"warmup": 20, "runs": 400, "threads": 1, "confidence": 0.95},
    "gates": {
        "max_drop": 0.03,
        "min_score": {"accuracy": 0.8},
        "min_class_score": 0.0,
        "max_error": {"fp32": 0.001, "int8": 0.2},
        "min_agreement": {"fp32": 0.999, "int8": 0.97},
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
        parts=(Part(name="model", entry="model.onnx", inputs=(IMAGE,), outputs=(LOGITS,)),),
        files=(ExportedFile(path="model.onnx", sha256=digest, bytes=len(content)),),
        input=SPEC,
        task=ENTRY,
        classes=CLASSES,
        tools={},
        bundle_sha256=BUNDLE,
        calibration_sha256=None,
    ).write(folder)


def answer(folder: Path, precision: str, test: ImageSet, logits: np.ndarray) -> None:
    task = open_task(CLASSES)
    rows = sampled(test.ids, task.answers.outputs(SPEC))
    held = OpenReference(
        ids=tuple(test.ids),
        truth={"label": test.strata},
        answers=task.answers.decode({"logits": logits}, SPEC),
        rows=rows,
        raw={"logits": logits[list(rows)]},
        bundle_sha256=BUNDLE,
        groups=np.arange(len(test)) // 30,
    )
    Reference.create(folder / REFERENCE, held)
    Quantized(
        precision=precision,
        method="none",
        recipe=Recipe(weights="float32", activations="float32", per_channel=False),
        bundle_sha256=BUNDLE,
        calibration_sha256=None,
        reference_sha256=sha256_folder(folder / REFERENCE),
    ).write(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory as the stages before leave it."""
    root = tmp_path_factory.mktemp("run")
    source = resolve("data.sources", {"method": "digits"}, "test", "source")
    rules = validate(Rules, {"split": {"val": 0.1, "test": 0.25}, "limit": None}, "test", "rules")
    manifest = root / "data/manifest"
    manifest.mkdir(parents=True)
    classified(source(manifest), manifest, rules)
    train, test = (ImageSet.open(manifest, split) for split in ("train", "test"))
    columns = np.concatenate(list(train.batches(SPEC, 64))).reshape(len(train), -1)
    columns = np.hstack([columns, np.ones((len(train), 1))]).astype(np.float64)
    ridge = columns.T @ columns + 10 * np.eye(257)
    solved = np.linalg.solve(ridge, columns.T @ np.eye(10)[train.strata]).astype(np.float32)
    images = np.concatenate(list(test.batches(SPEC, 64))).reshape(len(test), -1)
    logits = images @ solved[:-1] + solved[-1]
    content = onnx_classifier(solved[:-1], solved[-1])
    for key, precision in ((KEY, "fp32"), (OTHER, "int8")):
        answer(root / "models/quantized" / precision, precision, test, logits)
        export(root / "targets/exported" / key, key, content)
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
    assert done.returncode == 0, done.stderr
    measured = Measurement.read(place / "targets/measured" / KEY)
    # A latency may be refused while other work shares the machine; nothing else may.
    assert set(measured.not_run) <= {"latency"}
    assert measured.score is not None
    assert measured.score.name == "accuracy"
    assert measured.score.items == len(ImageSet.open(place / "data/manifest", "test"))
    assert measured.score.value.value > 0.9
    alone = intervals.share(
        round(measured.score.value.value * measured.score.items), measured.score.items, 0.95
    )
    # The images are said to come in groups of thirty.
    assert measured.score.value.low <= alone.low
    assert measured.score.value.high >= alone.high
    assert measured.score.value != alone
    told = Diagnosed.read(place / "targets/measured" / KEY)
    assert told.ours.per_class is not None
    assert sum(row.items for row in told.ours.per_class.rows) == measured.score.items
    assert told.ours.confusion == told.floats.confusion  # the very same network
    assert Changed.open(place / "targets/measured" / KEY).ids == ()
    kept = Predictions.open(place / "targets/measured" / KEY)
    reference = Reference.open(place / "models/quantized/fp32" / REFERENCE, "")
    assert kept.ids == reference.ids
    right = kept.answers["label"] == reference.truth["label"]
    assert right.mean() == pytest.approx(measured.score.value.value)
    metrics = json.loads((place / f"metrics/validate-{KEY}.json").read_text())
    assert metrics["score"] == pytest.approx(measured.score.value.value, abs=1e-6)
    assert all(isinstance(v, int | float | dict) for v in metrics.values())


def judged(key: str) -> Verdicts:
    """Judge what was measured, as the next stage does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["judge"])
        main("judge", judge.work)
    return Verdicts.read(Path("targets/judged") / key)


def test_truncated_export_is_a_failing_verdict(place: Path) -> None:
    file = place / "targets/exported" / KEY / "model.onnx"
    file.write_bytes(file.read_bytes()[:-100])
    for key in (KEY, OTHER):
        run(key)
    verdicts = judged(KEY)
    assert verdicts.verdicts[0].gate == "integrity"
    assert verdicts.verdicts[0].outcome == "fail"
    assert verdicts.outcome == "fail"
    assert Measurement.read(place / "targets/measured" / KEY).latency is None


def test_target_that_was_not_exported_is_said_to_be_not_run(place: Path) -> None:
    folder = place / "targets/exported" / OTHER
    shutil.rmtree(folder)
    NotExported(target=Target.parse(OTHER), reason="no such operator", bundle_sha256=BUNDLE).write(
        folder
    )
    for key in (KEY, OTHER):
        run(key)
    verdicts = judged(OTHER)
    assert verdicts.outcome == "not-run"
    assert [v.reason for v in verdicts.verdicts] == ["not exported: no such operator"]
    assert json.loads((place / "metrics/judge.json").read_text())["not_run"] >= 1


def test_changed_bound_judges_again_what_was_measured_once(place: Path) -> None:
    for key in (KEY, OTHER):
        run(key)
    before = (place / "targets/measured" / KEY / Measurement.file_name).read_bytes()
    size = {v.gate: v.outcome for v in judged(KEY).verdicts}["size"]
    _change(place, "budgets", default={**PARAMS["budgets"]["default"], "max_size_mb": 0.001})
    assert (size, {v.gate: v.outcome for v in judged(KEY).verdicts}["size"]) == ("pass", "fail")
    assert (place / "targets/measured" / KEY / Measurement.file_name).read_bytes() == before


def test_verdicts_name_the_measurement_they_judge(place: Path) -> None:
    for key in (KEY, OTHER):
        run(key)
    digest = hashlib.sha256(
        (place / "targets/measured" / OTHER / Measurement.file_name).read_bytes()
    )
    assert judged(OTHER).measurement_sha256 == digest.hexdigest()


def test_judge_refuses_when_a_target_was_not_measured(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(KEY)
    with pytest.raises(SystemExit, match="2"):
        judged(OTHER)
    assert f"judge: targets/measured/{OTHER}/measurement.json: file not found" in (
        capsys.readouterr().err
    )
    assert not (place / "targets/judged").exists()


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("gates", {"max_p98_ms": 1.0}, "gates.max_p98_ms: unknown key"),
        ("gates", {"max_error": {}}, "gates.max_error: no bound for 'fp32'"),
        ("budgets", {"default": {"max_p99_ms": 0}}, "max_p99_ms"),
    ],
)
def test_judge_refuses_bad_bounds_in_one_line(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    section: str,
    values: dict[str, Any],
    words: str,
) -> None:
    for key in (KEY, OTHER):
        run(key)
    _change(place, section, **values)
    capsys.readouterr()  # on a slow machine the measurements say how far they are
    with pytest.raises(SystemExit, match="2"):
        judged(KEY)
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def _forget_an_image(place: Path) -> None:
    folder = place / "models/quantized/fp32"
    held = Reference.open(folder / REFERENCE, BUNDLE)
    rows = tuple(row - 1 for row in held.rows if row)
    shorter = OpenReference(
        ids=held.ids[1:],
        truth={name: values[1:] for name, values in held.truth.items()},
        answers={name: values[1:] for name, values in held.answers.items()},
        rows=rows,
        raw={name: values[-len(rows) :] for name, values in held.raw.items()},
        bundle_sha256=BUNDLE,
    )
    Reference.create(folder / REFERENCE, shorter)
    record = Quantized.read(folder)
    digest = sha256_folder(folder / REFERENCE)
    record.model_copy(update={"reference_sha256": digest}).write(folder)


def _touch_the_reference(place: Path) -> None:
    with (place / "models/quantized/fp32" / REFERENCE / SAMPLE).open("ab") as file:
        file.write(b"\0")


def _change(place: Path, section: str, **values: object) -> None:
    changed = {**PARAMS, section: {**PARAMS[section], **values}}
    (place / "params.yaml").write_text(yaml.safe_dump(changed))


BROKEN = {
    "images of another split": (_forget_an_image, "are not the"),
    "reference changed": (_touch_the_reference, "changed since quantize@fp32"),
    "no export": (lambda place: shutil.rmtree(place / f"targets/exported/{KEY}"), "exported.json"),
    "no reference": (lambda place: shutil.rmtree(place / "models/quantized"), "quantized.json"),
    "few runs": (lambda place: _change(place, "validate", runs=10), "validate.runs"),
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
    assert not (place / "targets/measured" / KEY).exists()
    assert not (place / "metrics").exists()


def test_validate_imports_no_torch() -> None:
    code = "import sys, stages.validate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
