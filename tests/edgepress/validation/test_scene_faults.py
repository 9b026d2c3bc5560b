"""Faults of classification, multi-label and segmentation exports: which gate blocks which.

The three tasks see pictures of the same kind, letterboxed from 66 to 90 pixels into 32; a fault is
in the exported graph, in the record of its input, or in what a device does to a picture. What no
gate can see is what the reference and the export share: labels numbered otherwise, masks that are
half a pixel off everywhere, pictures that training turned otherwise than their labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import ModelProto

from edgepress.devices import host
from edgepress.records.inputs import InputSpec
from edgepress.records.reference import OpenReference, sampled
from edgepress.records.target import Target
from edgepress.validation import measure
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.timing import Timing
from tests import spoilt
from tests.exported import BUNDLE, export_as
from tests.pictured import SPEC, TASKS, Scenes, graph, learnt, scenes

ITEMS, STEPS, EARLIER = 120, 150, 100
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
PLAN = Plan(Timing(warmup=5, runs=100, threads=1, confidence=0.95), seed=0)
SCORES = {
    "classification": {"accuracy": 0.9},
    "multilabel": {"mean_ap": 0.9, "exact_match": 0.8},
    "segmentation": {"mean_iou": 0.75},
}
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)
PRECISIONS = ("fp32", "int8")
ANSWERS = {"parity", "agreement"}
LOSSES = ANSWERS | {"drop"}
WHOLE = LOSSES | {"class_score"}
Sees = dict[str, tuple[set[str], set[str]]]
"""Task -> the gates that block a fault at fp32, and at INT8; none: not surely seen."""
FLOAT: Sees = {word: ({"parity"}, set()) for word in TASKS}
EVERY: Sees = {word: (WHOLE, WHOLE) for word in TASKS}
precisions = pytest.mark.parametrize("precision", PRECISIONS)

pytestmark = pytest.mark.usefixtures("untimed")


def gates(word: str) -> Gates:
    return Gates(
        max_drop=0.05,
        min_score=SCORES[word],
        min_class_score=0.5,
        max_error={"fp32": 0.001, "int8": 0.2},
        min_agreement={"fp32": 0.999, "int8": 0.97},
        min_speedup=1.0,
    )


@dataclass(frozen=True)
class Setting:
    """One task's network, its test pictures, what it says of them, and its exports."""

    word: str
    test: Scenes
    images: npt.NDArray[np.float32]
    """The test pictures as they should be prepared."""
    models: dict[str, ModelProto]
    """Precision -> healthy export."""
    stale: dict[str, ModelProto]
    """The same, of weights from before the last third of the steps."""
    reference: OpenReference


@pytest.fixture(scope="module", params=list(TASKS))
def setting(request: Any, quantize: Any, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    word = request.param
    train, test = scenes(word, 160, 0), scenes(word, ITEMS, 1)
    stale, last = (graph(word, each) for each in learnt(word, train, STEPS, EARLIER))
    calibrating = train.inputs()[:32]

    def both(model: ModelProto) -> dict[str, ModelProto]:
        int8 = quantize(model, calibrating, tmp_path_factory.mktemp("int8"))
        return {"fp32": model, "int8": int8}

    images, task = test.inputs(), TASKS[word]
    session = onnxruntime.InferenceSession(last.SerializeToString())
    logits = np.concatenate([session.run(["logits"], {"image": i[None]})[0] for i in images])
    ids = tuple(f"scene-{number}" for number in range(ITEMS))
    rows = sampled(ids, task.answers.outputs(SPEC))
    answers = task.answers.decode({"logits": logits}, SPEC)
    raw = {"logits": logits[list(rows)]}
    reference = OpenReference(ids, test.truth, answers, rows, raw, BUNDLE)
    return Setting(word, test, images, both(last), both(stale), reference)


Blocked = Callable[..., set[str]]


@pytest.fixture
def blocked(tmp_path: Path, setting: Setting) -> Blocked:
    """Return a function that measures an export and says which gates block it."""

    def gates_of(
        model: ModelProto,
        precision: str,
        spec: InputSpec = SPEC,
        items: Scenes = setting.test,
        held: OpenReference = setting.reference,
    ) -> set[str]:
        key, task = f"{HERE}-{precision}", TASKS[setting.word]
        subject = export_as(model, tmp_path / precision, key, (task, spec))
        healthy = items is setting.test and spec == SPEC
        images = setting.images if healthy else items.inputs(spec)
        truth = measure.Truth(held, [{"image": images}], task, SPEC)
        found = measure.measure(subject, None, truth, PLAN)
        judged = judge(found, gates(setting.word), BUDGET, Target.parse(key))
        return {verdict.gate for verdict in judged.verdicts if verdict.outcome != "pass"}

    return gates_of


def test_healthy_exports_pass(setting: Setting, blocked: Blocked) -> None:
    assert {each: blocked(setting.models[each], each) for each in PRECISIONS} == {
        "fp32": set(),
        "int8": set(),
    }


def seen(sees: Sees, setting: Setting, precision: str) -> set[str]:
    return sees[setting.word][PRECISIONS.index(precision)]


@precisions
@pytest.mark.parametrize("fault", ["ids one higher", "two classes swapped"])
def test_classes_of_other_numbers_are_blocked_by_every_gate_of_answers(
    precision: str, fault: str, setting: Setting, blocked: Blocked
) -> None:
    count = len(TASKS[setting.word].classes)
    swapped = [1, 0, *range(2, count)]
    order = swapped if fault == "two classes swapped" else [count - 1, *range(count - 1)]
    found = blocked(spoilt.ordered("logits", order)(setting.models[precision]), precision)
    assert found >= seen(EVERY, setting, precision)


@precisions
def test_logits_halved_are_blocked_though_every_class_stays(
    precision: str, setting: Setting, blocked: Blocked
) -> None:
    """Only parity looks at how large a logit is; agreement sees it where confidences count."""
    found = blocked(spoilt.times(0.5, "logits")(setting.models[precision]), precision)
    assert "parity" in found
    assert found <= ANSWERS


def test_logits_a_twentieth_larger_are_blocked_at_fp32(setting: Setting, blocked: Blocked) -> None:
    """At INT8 a twentieth is what rounding does as well."""
    assert "parity" in blocked(spoilt.times(1.05, "logits")(setting.models["fp32"]), "fp32")


@precisions
@pytest.mark.parametrize(("kind", "more"), [("Softmax", {"axis": 1}), ("Sigmoid", {})])
def test_logits_that_became_shares_are_blocked(
    precision: str, kind: str, more: dict[str, int], setting: Setting, blocked: Blocked
) -> None:
    change = spoilt.ending(kind, "logits", **more)
    assert "parity" in blocked(change(setting.models[precision]), precision)


@precisions
@pytest.mark.parametrize("setting", ["segmentation"], indirect=True)
def test_masks_half_a_pixel_off_are_blocked(
    precision: str, setting: Setting, blocked: Blocked
) -> None:
    """The graph enlarges from corners of pixels: what most runtimes did before ONNX named it."""
    found = blocked(spoilt.asymmetric(setting.models[precision]), precision)
    assert found >= {"parity", "drop"}


@precisions
@pytest.mark.parametrize("setting", ["classification", "segmentation"], indirect=True)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("logits", r"answers logits with shape \(1, 1.*\) instead of \(1, [34].*\)"),
        ("ids", r"does not run: .*logits.*"),
    ],
)
def test_class_ids_for_logits_are_refused_in_one_line(
    precision: str, name: str, said: str, setting: Setting, tmp_path: Path
) -> None:
    """What many converters add: the graph ends in argmax, under the old name or another."""
    task, key = TASKS[setting.word], f"{HERE}-{precision}"
    model = spoilt.class_ids(name)(setting.models[precision])
    subject = export_as(model, tmp_path / precision, key, (task, SPEC))
    truth = measure.Truth(setting.reference, [{"image": setting.images}], task, SPEC)
    found = measure.measure(subject, None, truth, PLAN)
    assert re.fullmatch(said, found.not_run["integrity"])
    judged = judge(found, gates(setting.word), BUDGET, Target.parse(key))
    assert judged.outcome == "fail"


@precisions
@pytest.mark.parametrize("setting", ["classification", "segmentation"], indirect=True)
def test_one_hot_classes_for_logits_are_blocked_by_parity_alone(
    precision: str, setting: Setting, blocked: Blocked
) -> None:
    """One for the class of a pixel and nought for the others: of the right shape, no class off."""
    assert blocked(spoilt.one_hot(setting.models[precision]), precision) == {"parity"}


RECORDS: dict[str, Sees] = {
    "stretched": {
        "classification": ({"parity"}, set()),
        "multilabel": (ANSWERS, {"agreement"}),
        "segmentation": (WHOLE, WHOLE),
    },
    "nearest": {
        "classification": ({"parity"}, set()),
        "multilabel": ({"parity"}, set()),
        "segmentation": (ANSWERS, {"parity"}),
    },
    "bicubic": FLOAT,
    "mean and std of ImageNet": {
        "classification": (LOSSES, LOSSES),
        "multilabel": (ANSWERS, ANSWERS),
        "segmentation": (LOSSES, {"parity", "drop"}),
    },
    "no mean": {word: (ANSWERS, ANSWERS) for word in TASKS},
}


@precisions
@pytest.mark.parametrize("fault", RECORDS)
def test_pictures_prepared_by_another_record_are_blocked(
    precision: str, fault: str, setting: Setting, blocked: Blocked
) -> None:
    """An INT8 export that is not surely blocked comes with an FP32 one that is."""
    sees = seen(RECORDS[fault], setting, precision)
    if not sees:
        pytest.skip("lost in what rounding does")
    spec = SPEC.model_copy(update=spoilt.SPECS[fault])
    assert blocked(setting.models[precision], precision, spec=spec) >= sees


READ: dict[Any, tuple[int, Sees]] = {
    # change: (one picture in so many, what sees it)
    spoilt.bgr: (1, EVERY),
    spoilt.turned: (10, {**FLOAT, "segmentation": (LOSSES, {"parity", "drop"})}),
}


@precisions
@pytest.mark.parametrize("change", READ, ids=lambda change: change.__name__)
def test_pictures_read_otherwise_are_blocked(
    precision: str, change: Any, setting: Setting, blocked: Blocked
) -> None:
    """A disc turned is a disc: classes of pictures show one in ten turned at fp32 alone."""
    one_in, sees = READ[change]
    if not seen(sees, setting, precision):
        pytest.skip("lost in what rounding does")
    pictures = spoilt.some(setting.test.pictures, change, one_in)
    items = replace(setting.test, pictures=pictures)
    found = blocked(setting.models[precision], precision, items=items)
    assert found >= seen(sees, setting, precision)


def test_weights_from_before_the_last_steps_are_blocked_at_fp32(
    setting: Setting, blocked: Blocked
) -> None:
    assert "parity" in blocked(setting.stale["fp32"], "fp32")


@precisions
def test_nan_for_one_image_in_a_hundred_is_blocked(
    precision: str, setting: Setting, blocked: Blocked
) -> None:
    """One of 120, and not in parity's sample of raw outputs."""
    means = setting.images.mean(axis=(1, 2, 3))
    cut = float(np.sort(means)[:2].mean())
    known = setting.reference
    kept = [place for place, row in enumerate(known.rows) if row != means.argmin()]
    rows = tuple(known.rows[place] for place in kept)
    held = replace(known, rows=rows, raw={"logits": known.raw["logits"][kept]})
    change = spoilt.logarithm(cut, "logits")
    assert "parity" in blocked(change(setting.models[precision]), precision, held=held)
