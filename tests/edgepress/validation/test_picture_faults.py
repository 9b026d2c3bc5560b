"""Faults in how pictures are read, for tasks about whole pictures: one class each, or several.

The export is right; what its device does to wide pictures, letterboxed in training, is not:

| fault | one class | several classes |
|---|---|---|
| stretched instead of letterboxed, BGR, mirrored | every gate of answers | every gate of answers |
| nearest instead of bilinear | parity, agreement | parity, agreement |
| bicubic instead of bilinear | parity at fp32 | parity, agreement at fp32 |
| one picture in ten not turned by its EXIF | parity, drop | parity, drop |

At INT8 a filter that is nearly the same is lost in what rounding does.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.data.preprocess import decode, normalise
from edgepress.devices import host
from edgepress.records.inputs import InputSpec
from edgepress.records.reference import OpenReference, sampled
from edgepress.records.target import Target
from edgepress.tasks.task import Task
from edgepress.validation import measure
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.timing import Timing
from tests.classified import open_task
from tests.exported import BUNDLE

PLAN = Plan(Timing(warmup=5, runs=100, threads=1, confidence=0.95), seed=0)
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
WIDE = InputSpec(
    height=16,
    width=16,
    channels=3,
    mean=(0.3, 0.3, 0.5),
    std=(0.35, 0.35, 0.4),
    fit="letterbox",
)
TRUE_OF = {"even": (0, 2, 4, 6, 8), "looped": (0, 6, 8, 9), "above four": (5, 6, 7, 8, 9)}
SEVERAL = Task.open(
    {
        "method": "multilabel",
        "labels": "classes",
        "threshold": 0.5,
        "focus_positive": 0.0,
        "focus_negative": 0.0,
        "margin": 0.0,
    },
    tuple(TRUE_OF),
    "test",
)
SCORES = {
    "classification": {"accuracy": 0.7, "balanced_accuracy": 0.7},
    "multilabel": {"mean_ap": 0.75, "exact_match": 0.5},
}
TASKS = {"classification": open_task(tuple("0123456789")), "multilabel": SEVERAL}
pytestmark = pytest.mark.usefixtures("untimed")


@dataclass(frozen=True)
class Pictures:
    """Digits in the middle of pictures 24 x 36, uint8 [N, 24, 36, 3]."""

    pictures: np.ndarray
    labels: np.ndarray

    def inputs(self, spec: InputSpec) -> Any:
        """Return the pictures as a device with this record prepares them."""
        return normalise(np.stack([decode(_png(each), spec) for each in self.pictures]), spec)

    def truth(self, task: Task) -> dict[str, Any]:
        if task is not SEVERAL:
            return {"label": self.labels}
        have = [np.isin(self.labels, each) for each in TRUE_OF.values()]
        return {"present": np.stack(have, 1).astype(np.uint8)}


def _png(picture: Any) -> bytes:
    held = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(held, "PNG", compress_level=0)
    return held.getvalue()


def widened(digits: Any) -> Pictures:
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 40, (len(digits.labels), 24, 36, 3)).astype(np.uint8)
    for picture, digit in zip(wide, digits.pixels, strict=True):
        picture[:, 6:30] = Image.fromarray(digit).resize((24, 24), Image.Resampling.BICUBIC)
    return Pictures(wide, digits.labels)


@dataclass(frozen=True)
class Setting:
    """One task's network, its answers to the test pictures, and its exports."""

    task: Task
    test: Pictures
    reference: OpenReference
    models: dict[str, Any]


@pytest.fixture(scope="module")
def wide(digits: Any) -> tuple[Pictures, Pictures]:
    return widened(digits[0]), widened(digits[1])


@pytest.fixture(scope="module", params=TASKS)
def setting(
    request: Any, wide: Any, learn: Any, graph: Any, quantize: Any, tmp_path_factory: Any
) -> Setting:
    task, (train, test) = TASKS[request.param], wide
    inputs = train.inputs(WIDE)
    targets = None if task is not SEVERAL else train.truth(task)["present"]
    weights = learn(_Prepared(inputs, train.labels), 0, 20, targets)
    logits = weights.logits(test.inputs(WIDE))
    ids = tuple(f"digit-{number}" for number in range(len(logits)))
    rows = sampled(ids, task.answers.outputs(WIDE))
    answers = task.answers.decode({"logits": logits}, WIDE)
    raw = {"logits": logits[list(rows)]}
    reference = OpenReference(ids, test.truth(task), answers, rows, raw, BUNDLE)
    model = graph(weights)
    int8 = quantize(model, inputs[:64], tmp_path_factory.mktemp("int8"))
    return Setting(task, test, reference, {"fp32": model, "int8": int8})


@dataclass(frozen=True)
class _Prepared:
    """Inputs as they are learnt from."""

    prepared: Any
    labels: Any

    def inputs(self, spec: InputSpec) -> Any:  # noqa: ARG002
        return self.prepared


@pytest.fixture
def blocked(setting: Setting, write: Any) -> Callable[..., set[str]]:
    """Return a function that measures an export on pictures and says which gates block it."""

    def gates_of(precision: str, spec: InputSpec = WIDE, items: Any = setting.test) -> set[str]:
        key = f"{HERE}-{precision}"
        subject = write(setting.models[precision], key, spec=spec, task=setting.task)
        batches = [{"image": items.inputs(spec)}]
        truth = measure.Truth(setting.reference, batches, setting.task, WIDE)
        found = measure.measure(subject, None, truth, PLAN)
        gates = Gates(
            max_drop=0.02,
            min_score=SCORES[setting.task.name],
            min_class_score=0.3,
            max_error={"fp32": 0.001, "int8": 0.2},
            min_agreement={"fp32": 0.999, "int8": 0.95},
            min_speedup=1.0,
        )
        judged = judge(found, gates, BUDGET, Target.parse(key))
        return {verdict.gate for verdict in judged.verdicts if verdict.outcome != "pass"}

    return gates_of


precisions = pytest.mark.parametrize("precision", ["fp32", "int8"])


def test_healthy_exports_pass(blocked: Any) -> None:
    assert blocked("fp32") == set()
    assert blocked("int8") == set()


@precisions
@pytest.mark.parametrize(
    ("change", "fp32", "int8"),
    [
        ({"fit": "stretch"}, {"parity", "agreement", "drop"}, {"parity", "agreement", "drop"}),
        ({"resize": "nearest"}, {"parity", "agreement"}, {"parity"}),
        ({"resize": "bicubic"}, {"parity"}, set()),
    ],
    ids=["stretched", "nearest", "bicubic"],
)
def test_pictures_fitted_otherwise_are_blocked(
    precision: str, change: dict[str, Any], fp32: set[str], int8: set[str], blocked: Any
) -> None:
    found = blocked(precision, spec=WIDE.model_copy(update=change))
    assert found >= (fp32 if precision == "fp32" else int8)


@precisions
@pytest.mark.parametrize(
    ("change", "one_in", "sees"),
    [
        (lambda picture: picture[..., ::-1], 1, {"parity", "agreement", "drop"}),
        (lambda picture: picture[:, ::-1], 1, {"parity", "agreement", "drop"}),
        (lambda picture: picture[::-1, ::-1], 10, {"parity", "drop"}),
    ],
    ids=["bgr", "mirrored", "one in ten upside down by its EXIF"],
)
def test_pictures_read_otherwise_are_blocked(
    precision: str, change: Any, one_in: int, sees: set[str], setting: Setting, blocked: Any
) -> None:
    pictures = np.stack(
        [
            each if number % one_in else change(each)
            for number, each in enumerate(setting.test.pictures)
        ]
    )
    items = dataclasses.replace(setting.test, pictures=pictures)
    assert blocked(precision, items=items) >= sees
