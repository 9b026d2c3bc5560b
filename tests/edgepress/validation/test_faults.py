"""Fault injection: each way an export goes wrong in the field is blocked, healthy ones are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.devices import host
from edgepress.records.inputs import InputSpec
from edgepress.records.reference import OpenReference
from edgepress.records.target import Target
from edgepress.tasks.task import Task
from edgepress.validation import measure
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.parity import compare
from edgepress.validation.subject import Subject
from edgepress.validation.timing import Timing
from tests import spoilt

PLAN = Plan(Timing(warmup=5, runs=400, threads=1, confidence=0.95), seed=0)
GATES = Gates(
    max_drop=0.02,
    min_score={"accuracy": 0.8, "balanced_accuracy": 0.8},
    min_class_score=0.3,
    max_error={"fp32": 0.001, "int8": 0.2},
    min_agreement={"fp32": 0.999, "int8": 0.97},
    min_speedup=1.0,
)
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)
SPEC = InputSpec(height=16, width=16, channels=3, mean=(0.3, 0.3, 0.5), std=(0.35, 0.35, 0.4))
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
ANSWERS = {"parity", "agreement", "drop"}
Write = Callable[..., Subject]
Change = Callable[[Any], Any]


pytestmark = pytest.mark.usefixtures("untimed")


def swapped_channels(weights: Any) -> Any:
    blocks = weights.first.reshape(3, 256, -1)[::-1]
    return dataclasses.replace(weights, first=blocks.reshape(weights.first.shape))


def swapped_layout(weights: Any) -> Any:
    """NCHW read as NHWC."""
    blocks = weights.first.reshape(16, 16, 3, -1).transpose(2, 0, 1, 3)
    return dataclasses.replace(weights, first=blocks.reshape(weights.first.shape))


def one_scale_for_all_channels(weights: Any) -> Any:
    """What an opset below 13 makes of per-channel scales: the first one serves all."""
    scales = np.abs(weights.second).max(axis=0)
    return dataclasses.replace(weights, second=weights.second * (scales[0] / scales))


def nan_weight(weights: Any) -> Any:
    spoiled = weights.second_bias.copy()
    spoiled[3] = np.nan
    return dataclasses.replace(weights, second_bias=spoiled)


@pytest.fixture
def blocked_by(truth: Any) -> Callable[..., set[str]]:
    """Return the gates that do not pass an export, measured as a target of its precision."""

    def gates_of(subject: Subject) -> set[str]:
        found = measure.measure(subject, None, truth(subject, 3), PLAN)
        judged = judge(found, GATES, BUDGET, Target.parse(f"{HERE}-fp32"))
        blocked = {v.gate for v in judged.verdicts if v.outcome != "pass"}
        assert (judged.outcome == "pass") == (not blocked)
        return blocked

    return gates_of


@pytest.fixture
def made(write: Write, graph: Any, quantized: Any) -> Callable[..., Subject]:
    """Return a function that exports weights at a precision; an export may differ in more."""

    def make(
        weights: Any,
        precision: str,
        change: spoilt.Change = lambda model: model,
        **more: Any,
    ) -> Subject:
        model = graph(weights)
        if precision == "int8":
            model = quantized(model)
        return write(change(model), f"{HERE}-{precision}", **more)

    return make


precisions = pytest.mark.parametrize("precision", ["fp32", "int8"])


@precisions
def test_healthy_export_passes(precision: str, weights: Any, made: Any, blocked_by: Any) -> None:
    assert blocked_by(made(weights, precision)) == set()


@precisions
@pytest.mark.parametrize(
    "fault",
    [
        swapped_channels,
        swapped_layout,
        one_scale_for_all_channels,
        nan_weight,
    ],
)
def test_wrong_weights_are_blocked(
    precision: str, fault: Change, weights: Any, made: Any, blocked_by: Any
) -> None:
    if fault is nan_weight and precision == "int8":
        pytest.skip("the quantizer itself refuses weights with NaN")
    assert ANSWERS & blocked_by(made(fault(weights), precision))


@precisions
def test_stale_weights_are_blocked(precision: str, stale: Any, made: Any, blocked_by: Any) -> None:
    assert ANSWERS & blocked_by(made(stale, precision))


@precisions
def test_export_of_another_bundle_is_blocked(
    precision: str, weights: Any, made: Any, blocked_by: Any
) -> None:
    assert "integrity" in blocked_by(made(weights, precision, bundle="c" * 64))


@precisions
@pytest.mark.parametrize("mean", [(0.0, 0.0, 0.0), (0.485, 0.456, 0.406)])
def test_wrong_mean_is_blocked(
    precision: str, mean: Any, weights: Any, made: Any, blocked_by: Any, spec: Any
) -> None:
    wrong = spec.model_copy(update={"mean": mean})
    assert ANSWERS & blocked_by(made(weights, precision, spec=wrong))


@precisions
def test_wrong_scale_of_pixels_is_blocked(
    precision: str, weights: Any, made: Any, blocked_by: Any, spec: Any
) -> None:
    wrong = spec.model_copy(update={"std": tuple(value / 255 for value in spec.std)})
    assert ANSWERS & blocked_by(made(weights, precision, spec=wrong))


@precisions
def test_softmax_too_many_is_blocked(
    precision: str, weights: Any, made: Any, blocked_by: Any
) -> None:
    change = spoilt.ending("Softmax", "logits", axis=1)
    assert ANSWERS & blocked_by(made(weights, precision, change))


@precisions
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_truncated_file_is_blocked(
    precision: str, kept: float, weights: Any, made: Any, blocked_by: Any
) -> None:
    subject = made(weights, precision)
    file = subject.folder / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    assert "integrity" in blocked_by(subject)


def test_saturating_int8_is_blocked_where_the_processor_has_no_vnni(
    model: Any, write: Write, digits: Any, quantize: Any, spec: Any, blocked_by: Any, tmp_path: Path
) -> None:
    if host.here().architecture != "x86_64" or host.here().vnni:
        pytest.skip("this processor does not saturate")
    (tmp_path / "work").mkdir()
    images = digits[0].inputs(spec)[:64]
    wide = quantize(model, images, tmp_path / "work", reduce_range=False)
    assert ANSWERS & blocked_by(write(wide, f"{HERE}-int8"))


@precisions
def test_permuted_classes_are_blocked(
    precision: str, weights: Any, made: Any, blocked_by: Any
) -> None:
    change = spoilt.ordered("logits", [9, *range(9)])
    assert blocked_by(made(weights, precision, change)) >= ANSWERS


@precisions
@pytest.mark.parametrize(
    "change",
    [spoilt.times(2.0, "logits"), spoilt.by("Add", "logits", np.float32(5))],
    ids=["doubled", "offset"],
)
def test_change_that_keeps_every_answer_is_blocked_by_the_raw_outputs(
    precision: str, change: spoilt.Change, weights: Any, made: Any, blocked_by: Any
) -> None:
    assert blocked_by(made(weights, precision, change)) >= {"parity"}


@precisions
def test_network_that_names_one_class_for_everything_is_blocked(
    precision: str, weights: Any, made: Any, digits: Any, task: Task
) -> None:
    """Held against its own float answers it is perfect; against the labels it is nothing."""
    bias = np.zeros(10, np.float32)
    bias[3] = 1.0
    dead = dataclasses.replace(weights, second=weights.second * 1e-6, second_bias=bias)
    logits = dead.logits(digits[1].inputs(SPEC))
    reference = OpenReference(
        ids=tuple(map(str, range(len(logits)))),
        truth={"label": digits[1].labels},
        answers=task.answers.decode({"logits": logits}, SPEC),
        rows=tuple(range(50)),
        raw={"logits": logits[:50]},
        bundle_sha256="b" * 64,
    )
    subject = made(dead, precision)
    batches = [{"image": digits[1].inputs(subject.exported.input)}]
    held = measure.Truth(reference, batches, task, SPEC)
    judged = judge(
        measure.measure(subject, None, held, PLAN), GATES, BUDGET, subject.exported.target
    )
    blocked = {v.gate for v in judged.verdicts if v.outcome == "fail"}
    assert blocked >= {"accuracy", "balanced_accuracy", "class_score", "accuracy_above_constant"}


@pytest.mark.parametrize("change", ["shifted", "turned", "inverted", "blurred"])
def test_pictures_prepared_otherwise_are_blocked(
    change: str, weights: Any, made: Any, truth: Any
) -> None:
    """The export is right, what its device does to pictures first is not."""
    subject = made(weights, "fp32")
    held = truth(subject, 1)
    images = held.batches[0]["image"]
    wrong = {
        "shifted": np.roll(images, 1, axis=3),
        "turned": images.transpose(0, 1, 3, 2),
        "inverted": -images,
        "blurred": (images + np.roll(images, 1, 2) + np.roll(images, 1, 3)) / 3,
    }[change]
    other = dataclasses.replace(held, batches=[{"image": np.ascontiguousarray(wrong)}])
    found = measure.measure(subject, None, other, PLAN)
    judged = judge(found, GATES, BUDGET, subject.exported.target)
    assert ANSWERS & {v.gate for v in judged.verdicts if v.outcome == "fail"}


def test_false_alarms_are_rare_when_healthy_exports_are_judged_on_other_images(
    weights: Any, made: Any, digits: Any, task: Task
) -> None:
    """Draw 500 test sets per precision from the real one; none of the two exports is at fault."""
    rng = np.random.default_rng(0)
    images = digits[1].inputs(SPEC)
    theirs = weights.logits(images)
    alarms = {"fp32": 0, "int8": 0}
    for precision in alarms:
        session = made(weights, precision).load(1)
        logits = np.concatenate([session.run({"image": i[None]})["logits"] for i in images])
        for _ in range(500):
            pick = rng.integers(0, len(logits), len(logits))
            ours, floats = (
                task.answers.decode({"logits": each[pick]}, SPEC) for each in (logits, theirs)
            )
            truth = {"label": digits[1].labels[pick]}
            drop = task.answers.score(ours, floats, truth, 0.95)[0].drop
            agreement = float(task.answers.agreement(ours, floats).mean())
            error = compare("logits", logits[pick][:256], theirs[pick][:256]).error
            alarms[precision] += (
                drop is None
                or drop.high >= GATES.max_drop
                or agreement < GATES.min_agreement[precision]
                or error > GATES.max_error[precision]
            )
    assert alarms["fp32"] == 0
    # This INT8 loses 0.2 points: 450 images fail to prove that it loses under 2 in 2.8 % of draws.
    assert alarms["int8"] <= 25
