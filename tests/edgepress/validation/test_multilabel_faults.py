"""Fault injection with several classes an image: which gates see which fault, at fp32 and INT8.

What is true of 450 handwritten digits; halved logits keep every class and every rank, and a
mistaken mean or std nearly so, which is why agreement looks at confidences too:

| fault | parity | agreement | drop | mean AP | calibration |
|---|---|---|---|---|---|
| two classes swapped, or all numbered one higher | x | x | x | x | x |
| softmax or sigmoid in the graph, and another outside | x | x | x, softmax | x, softmax | x |
| logits halved | x | x | | | x |
| mean of zero or ImageNet's, std halved | x, not INT8 for ImageNet's | x | | | |
| NaN for one image in a hundred | x | x | | | |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepress.devices import host
from edgepress.records.reference import OpenReference, sampled
from edgepress.records.target import Target
from edgepress.tasks.task import Task
from edgepress.validation import measure
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.subject import Subject
from edgepress.validation.timing import Timing
from tests import spoilt

PLAN = Plan(Timing(warmup=5, runs=400, threads=1, confidence=0.95), seed=0)
GATES = Gates(
    max_drop=0.02,
    min_score={"mean_ap": 0.9, "exact_match": 0.7, "calibration_error": 0.07},
    min_class_score=0.7,
    max_error={"fp32": 0.001, "int8": 0.2},
    min_agreement={"fp32": 0.999, "int8": 0.97},
    min_speedup=1.0,
)
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)
EVERY = {"parity", "agreement", "drop", "mean_ap", "exact_match", "calibration_error"}
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
TRUE_OF = {
    "even": (0, 2, 4, 6, 8),
    "prime": (2, 3, 5, 7),
    "looped": (0, 6, 8, 9),
    "above four": (5, 6, 7, 8, 9),
}
"""What is true of a digit; of 1 it is nothing."""
ENTRY = {
    "method": "multilabel",
    "labels": "classes",
    "threshold": 0.5,
    "focus_positive": 0.0,
    "focus_negative": 0.0,
    "margin": 0.0,
}
TASK = Task.open(ENTRY, tuple(TRUE_OF), "test")


pytestmark = pytest.mark.usefixtures("untimed")


def present(digits: Any) -> Any:
    return np.stack([np.isin(digits.labels, each) for each in TRUE_OF.values()], 1).astype(np.uint8)


@pytest.fixture(scope="module")
def learnt(digits: Any, learn: Any) -> Any:
    """Weights that tell what is true of a digit, [hidden, 4] at the end."""
    return learn(digits[0], 0, 25, present(digits[0]))


@pytest.fixture(scope="module")
def known(digits: Any, learnt: Any, spec: Any) -> OpenReference:
    """The float answers to the test digits."""
    logits = learnt.logits(digits[1].inputs(spec))
    ids = tuple(f"digit-{index}" for index in range(len(logits)))
    rows = sampled(ids, TASK.answers.outputs(spec))
    answers = TASK.answers.decode({"logits": logits}, spec)
    raw = {"logits": logits[list(rows)]}
    return OpenReference(ids, {"present": present(digits[1])}, answers, rows, raw, "b" * 64)


@pytest.fixture
def blocked_by(known: OpenReference, digits: Any, spec: Any) -> Callable[[Subject], set[str]]:
    """Return the gates that do not pass an export."""

    def gates_of(subject: Subject) -> set[str]:
        parts = np.array_split(digits[1].inputs(subject.exported.input), 3)
        held = measure.Truth(known, [{"image": part} for part in parts], TASK, spec)
        found = measure.measure(subject, None, held, PLAN)
        judged = judge(found, GATES, BUDGET, Target.parse(f"{HERE}-fp32"))
        return {v.gate for v in judged.verdicts if v.outcome != "pass"}

    return gates_of


@pytest.fixture
def made(write: Any, graph: Any, quantized: Any, learnt: Any) -> Callable[..., Subject]:
    """Return a function that exports the network at a precision, spoilt where asked."""

    def make(precision: str, change: spoilt.Change = lambda model: model, **more: Any) -> Subject:
        model = graph(learnt)
        if precision == "int8":
            model = quantized(model)
        return write(change(model), f"{HERE}-{precision}", task=TASK, **more)

    return make


precisions = pytest.mark.parametrize("precision", ["fp32", "int8"])


@precisions
def test_healthy_export_passes(precision: str, made: Any, blocked_by: Any) -> None:
    assert blocked_by(made(precision)) == set()


@precisions
@pytest.mark.parametrize(
    "order", [[1, 0, 2, 3], [3, 0, 1, 2]], ids=["two classes swapped", "ids one higher"]
)
def test_classes_of_other_numbers_are_blocked_by_every_gate_of_answers(
    precision: str, order: list[int], made: Any, blocked_by: Any
) -> None:
    assert blocked_by(made(precision, spoilt.ordered("logits", order))) >= EVERY


@precisions
def test_softmax_too_many_is_blocked_by_every_gate_of_answers(
    precision: str, made: Any, blocked_by: Any
) -> None:
    assert blocked_by(made(precision, spoilt.ending("Softmax", "logits", axis=1))) >= EVERY


@precisions
def test_sigmoid_too_many_is_blocked_though_ranks_stay(
    precision: str, made: Any, blocked_by: Any
) -> None:
    blocked = blocked_by(made(precision, spoilt.ending("Sigmoid", "logits")))
    assert blocked >= {"parity", "agreement", "exact_match", "calibration_error"}


@precisions
def test_halved_logits_are_blocked_though_every_class_and_rank_stays(
    precision: str, made: Any, blocked_by: Any
) -> None:
    blocked = blocked_by(made(precision, spoilt.times(0.5, "logits")))
    assert blocked >= {"parity", "agreement", "calibration_error"}
    assert not blocked & {"drop", "mean_ap", "exact_match"}


@precisions
@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.0,) * 3, None), ((0.485, 0.456, 0.406), None), (None, (0.175, 0.175, 0.2))],
)
def test_wrong_mean_or_std_is_blocked_by_agreement(
    precision: str, mean: Any, std: Any, made: Any, blocked_by: Any, spec: Any
) -> None:
    wrong = spec.model_copy(update={"mean": mean or spec.mean, "std": std or spec.std})
    assert "agreement" in blocked_by(made(precision, spec=wrong))


def test_nan_for_one_image_in_a_hundred_is_blocked(
    made: Any, blocked_by: Any, digits: Any, spec: Any
) -> None:
    means = digits[1].inputs(spec).reshape(450, -1).mean(axis=1)
    cut = float(np.sort(means)[5])
    blocked = blocked_by(made("fp32", spoilt.logarithm(cut, "logits")))
    assert blocked >= {"parity", "agreement"}
    unharmed = spoilt.logarithm(float(means.min()) - 1, "logits")
    assert blocked_by(made("fp32", unharmed)) == set()
