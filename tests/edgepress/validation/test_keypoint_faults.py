"""Faults of exports that give points: which gate blocks each, and which faults none can see.

A small network learns four coloured spots by the task's own loss; its export is then spoilt as
exports are in the field. What is not in this table because nothing here can see it: a fault in the
device's own decoding of the outputs, and one that the labels share, such as body parts in another
order in every label.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper
from PIL import Image

from edgepress.data.preprocess import decode, normalise
from edgepress.devices import host
from edgepress.records.inputs import InputSpec
from edgepress.records.reference import OpenReference
from edgepress.records.target import Target
from edgepress.tasks.task import Task
from edgepress.validation import measure
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.timing import Timing
from tests import spoilt, spots
from tests.exported import BUNDLE, export_as
from tests.shapes import after
from tests.spoilt import node
from tests.spots import ROWS, SPEC, TASK, Spots, Weights, graph

ITEMS, EARLIER, STEPS = 200, 180, 240
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
PLAN = Plan(Timing(warmup=5, runs=400, threads=1, confidence=0.95), seed=0)
GATES = Gates(
    max_drop=0.02,
    min_score={"pck": 0.9},
    min_class_score=0.8,
    max_error={"fp32": 0.001, "int8": 0.2},
    min_agreement={"fp32": 0.999, "int8": 0.95},
    min_speedup=1.0,
)
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)


@pytest.fixture(scope="module")
def test_set() -> Spots:
    return spots.spots(ITEMS, 1)


@pytest.fixture(scope="module")
def learnt() -> tuple[Weights, Weights]:
    return spots.learnt(spots.spots(240, 0), EARLIER, STEPS)


@pytest.fixture(scope="module")
def weights(learnt: tuple[Weights, Weights]) -> Weights:
    return learnt[1]


@pytest.fixture(scope="module")
def reference(weights: Weights, test_set: Spots) -> OpenReference:
    return refer(graph(weights), test_set, tuple(range(ITEMS)))


def refer(
    model: ModelProto, items: Spots, rows: tuple[int, ...], task: Task = TASK
) -> OpenReference:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in task.answers.outputs(SPEC)]
    parts = [session.run(names, {"image": each[None]}) for each in items.inputs()]
    raw = {
        name: np.concatenate(each)
        for name, each in zip(names, zip(*parts, strict=True), strict=True)
    }
    answers = task.answers.decode(raw, SPEC)
    ids = tuple(f"spots-{number}" for number in range(ITEMS))
    sample = {name: values[list(rows)] for name, values in raw.items()}
    return OpenReference(ids, items.truth, answers, rows, sample, BUNDLE)


pytestmark = pytest.mark.usefixtures("untimed")


@pytest.fixture
def blocked(
    tmp_path: Path, test_set: Spots, reference: OpenReference, quantize: Any
) -> Callable[..., set[str]]:
    """Return a function that exports a model, measures it and says which gates block it."""

    def gates_of(
        model: ModelProto,
        precision: str,
        held: OpenReference = reference,
        spec: InputSpec = SPEC,
        change: Callable[[np.ndarray], np.ndarray] = lambda images: images,
        task: Task = TASK,
        spoil: spoilt.Change = lambda model: model,
    ) -> set[str]:
        if precision == "int8":
            (tmp_path / "work").mkdir()
            model = quantize(model, spots.spots(48, 0).inputs(), tmp_path / "work")
        subject = export_as(spoil(model), tmp_path / "export", f"{HERE}-{precision}", (task, spec))
        images = np.ascontiguousarray(change(test_set.inputs(spec)))
        truth = measure.Truth(held, [{"image": images}], task, SPEC)
        found = measure.measure(subject, None, truth, PLAN)
        target = Target.parse(f"{HERE}-{precision}")
        judged = judge(found, GATES, BUDGET, target)
        return {verdict.gate for verdict in judged.verdicts if verdict.outcome != "pass"}

    return gates_of


precisions = pytest.mark.parametrize("precision", ["fp32", "int8"])


@precisions
def test_healthy_export_passes(precision: str, weights: Weights, blocked: Any) -> None:
    assert blocked(graph(weights), precision) == set()


def blurred(share: float) -> spoilt.Change:
    """Mix each place with its right neighbour: at a half, summits move half a cell to the left."""
    kernel = np.tile(np.array([1 - share, share], np.float32), (4, 1, 1, 1))
    nodes = [
        node("Pad", ["heatmaps_plain", "pads"], ["wide"], mode="edge"),
        node("Conv", ["wide", "kernel"], ["heatmaps"], group=4),
    ]
    pads = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    return lambda model: after(model, nodes, pads=pads, kernel=kernel)


ANSWERS = {"parity", "agreement"}
PLACES = ANSWERS | {"drop", "pck", "class_score"}
TABLE: dict[str, tuple[spoilt.Change, set[str], set[str]]] = {
    # fault: (what is done, gates that block it, gates that do not see it)
    "half a cell": (blurred(0.5), ANSWERS, {"pck"}),
    "left for right": (spoilt.ordered("heatmaps", [0, 2, 1, 3]), PLACES, set()),
    "permuted": (spoilt.ordered("heatmaps", [1, 2, 3, 0]), PLACES, set()),
    "transposed": (spoilt.ending("Transpose", "heatmaps", perm=[0, 1, 3, 2]), PLACES, set()),
    # No summit moves, every confidence does.
    "halved": (spoilt.times(0.5, "heatmaps"), ANSWERS, {"pck", "class_score"}),
    "raised": (spoilt.by("Add", "heatmaps", np.float32(3)), ANSWERS, {"pck", "class_score"}),
    "collapsed": (spoilt.by("Add", "heatmaps", np.float32(-8)), ANSWERS, {"pck", "class_score"}),
    # Maps cut off at 0, as by a scale that is too small: summits become plateaus. Parity sees it
    # too but for INT8, whose bound is wide.
    "saturated": (spoilt.by("Min", "heatmaps", np.float32(0)), {"agreement"}, set()),
}


@precisions
@pytest.mark.parametrize("fault", TABLE)
def test_fault_is_blocked_by_these_gates(
    precision: str, fault: str, weights: Weights, blocked: Any
) -> None:
    change, sees, blind = TABLE[fault]
    found = blocked(graph(weights), precision, spoil=change)
    assert found >= sees
    assert not found & blind


@precisions
@pytest.mark.parametrize(
    ("change", "sees"),
    [
        ({"mean": (0.0, 0.0, 0.0)}, ANSWERS),
        ({"mean": (0.485, 0.456, 0.406)}, {"parity"}),
        ({"std": (0.9, 0.9, 0.9)}, ANSWERS),
        ({"std": tuple(value / 255 for value in SPEC.std)}, ANSWERS),
    ],
)
def test_wrong_mean_or_std_is_blocked(
    precision: str, change: Any, sees: set[str], weights: Weights, blocked: Any
) -> None:
    assert blocked(graph(weights), precision, spec=SPEC.model_copy(update=change)) >= sees


@precisions
@pytest.mark.parametrize(
    ("change", "sees"),
    [
        (lambda images: images[..., ::-1], PLACES),  # mirrored, as a front camera gives them
        (lambda images: images.transpose(0, 1, 3, 2), PLACES),
        (lambda images: images[:, ::-1], PLACES),  # blue before red
        (lambda images: np.roll(images, 1, axis=3), ANSWERS),
    ],
    ids=["mirrored", "turned", "bgr", "a pixel off"],
)
def test_pictures_prepared_otherwise_are_blocked(
    precision: str, change: Any, sees: set[str], weights: Weights, blocked: Any
) -> None:
    assert blocked(graph(weights), precision, change=change) >= sees


def test_weights_from_before_the_last_steps_are_blocked_at_fp32(
    learnt: tuple[Weights, Weights], blocked: Any
) -> None:
    assert blocked(graph(learnt[0]), "fp32") >= ANSWERS


def test_maps_a_twentieth_larger_are_blocked_at_fp32(weights: Weights, blocked: Any) -> None:
    spoil = spoilt.times(1.05, "heatmaps")
    assert blocked(graph(weights), "fp32", spoil=spoil) >= {"parity"}


@precisions
def test_maps_that_became_shares_are_blocked(
    precision: str, weights: Weights, blocked: Any
) -> None:
    spoil = spoilt.ending("Sigmoid", "heatmaps")
    assert blocked(graph(weights), precision, spoil=spoil) >= ANSWERS


BOXED = SPEC.model_copy(update={"fit": "letterbox"})


@dataclass(frozen=True)
class Wide(Spots):
    """The same spots in the middle of pictures half as wide again, as a device prepares them."""

    def inputs(self, spec: InputSpec = BOXED) -> np.ndarray:
        found = []
        for pixels in self.pixels:
            picture = np.full((48, 72, 3), 40, np.uint8)
            picture[:, 12:60] = Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC)
            found.append(decode(_png(picture), spec))
        return normalise(np.stack(found), spec)


def _png(picture: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "PNG", compress_level=0)
    return held.getvalue()


def quarter_turned(images: np.ndarray) -> np.ndarray:
    """One picture in ten as the file has it, without the turn that its EXIF asks for."""
    turned = images.copy()
    turned[::10] = np.rot90(images[::10], axes=(2, 3))
    return turned


@pytest.mark.parametrize(
    ("change", "sees"),
    [
        ({}, set()),
        ({"fit": "stretch"}, ANSWERS),
        ({"resize": "nearest"}, ANSWERS),
        ({"resize": "bicubic"}, {"parity"}),
    ],
    ids=["none", "stretched", "nearest", "bicubic"],
)
def test_pictures_prepared_by_another_record_are_blocked_at_fp32(
    change: dict[str, Any], sees: set[str], weights: Weights, test_set: Spots, blocked: Any
) -> None:
    items = Wide(test_set.pixels, test_set.truth)
    held = refer(graph(weights), items, tuple(range(ITEMS)))
    wrong = items.inputs(BOXED.model_copy(update=change))
    found = blocked(graph(weights), "fp32", held=held, change=lambda images: wrong)
    # Those of the scores fail without a fault: the spots are smaller than those that were learnt.
    assert found & {"parity", "agreement", "drop"} >= sees
    assert sees or not found & {"parity", "agreement", "drop"}


@precisions
def test_pictures_not_turned_by_their_exif_are_blocked(
    precision: str, weights: Weights, blocked: Any
) -> None:
    assert blocked(graph(weights), precision, change=quarter_turned) >= {"agreement", "drop"}


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "not sampled"])
def test_nan_in_one_picture_of_two_hundred_is_blocked(
    sampled: bool, weights: Weights, test_set: Spots, reference: OpenReference, blocked: Any
) -> None:
    """Parity sees it whether the picture is in the sample or not, and so does agreement."""
    means = test_set.inputs().mean(axis=(1, 2, 3))
    which, cut = int(means.argmin()), float(np.sort(means)[:2].mean())
    rows = tuple(row for row in range(ITEMS) if sampled or row != which)[-50:]
    rows = tuple(sorted({which, *rows})) if sampled else rows
    maps = reference.raw["heatmaps"][list(rows)]
    held = replace(reference, rows=rows, raw={"heatmaps": maps})
    spoil = spoilt.logarithm(cut, "heatmaps")
    found = blocked(graph(weights), "fp32", held=held, spoil=spoil)
    assert "agreement" in found
    assert "parity" in found


@pytest.fixture
def confused(weights: Weights, test_set: Spots) -> tuple[ModelProto, OpenReference]:
    """A network that tells left from right no more: what mirrored pictures without a swap teach."""
    changed = {}
    for name in ("c_weight", "c_bias"):
        mean = weights[name][1:3].mean(axis=0)
        changed[name] = np.stack([weights[name][0], mean, mean, weights[name][3]])
    model = graph({**weights, **changed})
    return model, refer(model, test_set, tuple(range(ITEMS)))


def test_fault_of_the_training_is_seen_by_scores_alone(confused: Any, blocked: Any) -> None:
    model, reference = confused
    found = blocked(model, "fp32", held=reference)
    assert found >= {"pck", "class_score"}
    assert not found & {"parity", "agreement", "drop"}


def test_dead_network_is_blocked_though_it_is_its_own_reference(
    weights: Weights, test_set: Spots, blocked: Any
) -> None:
    dead = graph({**weights, "c_weight": weights["c_weight"] * np.float32(0)})
    found = blocked(dead, "fp32", held=refer(dead, test_set, tuple(range(ITEMS))))
    assert found >= {"pck", "class_score", "pck_above_constant", "oks_above_constant"}


def test_shift_below_a_fiftieth_of_a_cell_is_seen_by_no_gate_of_int8(
    weights: Weights, blocked: Any
) -> None:
    """The bounds of INT8 leave room for its own noise: what is smaller than that passes."""
    assert blocked(graph(weights), "int8", spoil=blurred(0.02)) == set()


def rows_of(weights: Weights, *more: Any, x: str = "x", y: str = "y") -> ModelProto:
    """Return the same network with the other form of answers: what its maps say of x and of y."""
    nodes = [
        node("ReduceLogSumExp", ["maps", "down"], [x], keepdims=0),
        node("ReduceLogSumExp", ["maps", "across"], [y], keepdims=0),
        *more,
    ]
    return graph(weights, *nodes, task=ROWS, down=np.array([2]), across=np.array([3]))


def mirrored_rows(weights: Weights) -> ModelProto:
    """Bins counted from the right."""
    ends = {"starts": [-1], "ends": [-99], "axes": [2], "steps": [-1]}
    kinds = {name: np.array(values, np.int64) for name, values in ends.items()}
    more = [
        node("Constant", [], [name], value=numpy_helper.from_array(values))
        for name, values in kinds.items()
    ]
    return rows_of(weights, *more, node("Slice", ["back", *ends], ["x"]), x="back")


@pytest.mark.parametrize(
    ("fault", "sees", "blind"),
    [
        (rows_of, set(), PLACES),
        (lambda weights: rows_of(weights, x="y", y="x"), PLACES, set()),  # transposed
        (mirrored_rows, PLACES, set()),
        (
            lambda weights: spoilt.times(0.5, "")(rows_of(weights)),  # of both
            ANSWERS,
            {"pck", "class_score"},
        ),
    ],
    ids=["none", "transposed", "mirrored", "halved"],
)
def test_fault_is_blocked_when_answers_are_rows_of_bins(
    fault: Any, sees: set[str], blind: set[str], weights: Weights, test_set: Spots, blocked: Any
) -> None:
    held = refer(rows_of(weights), test_set, tuple(range(ITEMS)), ROWS)
    found = blocked(fault(weights), "fp32", held=held, task=ROWS)
    assert found >= sees
    assert not found & blind


def joined_rows(weights: Weights, scale: float | None = None) -> ModelProto:
    """Both rows in one tensor, quantized by one scale there: by the toolchain, or in the file."""
    steps = {"step": np.array(scale, np.float32), "zero": np.array(0, np.int8)} if scale else {}
    quantized = [
        node("QuantizeLinear", ["joint", *steps], ["integers"]),
        node("DequantizeLinear", ["integers", *steps], ["real"]),
    ]
    more = [
        *(
            node("Constant", [], [name], value=numpy_helper.from_array(values))
            for name, values in steps.items()
        ),
        node("Concat", ["x_whole", "y_whole"], ["joint"], axis=2),
        *(quantized if scale else []),
        node("Split", ["real" if scale else "joint"], ["x", "y"], axis=2, num_outputs=2),
    ]
    return rows_of(weights, *more, x="x_whole", y="y_whole")


@pytest.mark.parametrize(
    ("precision", "in_the_file", "sees"),
    [("int8", False, True), ("fp32", True, True), ("int8", None, False)],
    ids=["quantized together", "finished export", "healthy INT8"],
)
def test_one_scale_for_both_rows_is_blocked(
    precision: str,
    in_the_file: bool | None,
    sees: bool,
    weights: Weights,
    test_set: Spots,
    blocked: Any,
) -> None:
    """What is known of x and of y is of one kind: no other gate need see it."""
    held = refer(rows_of(weights), test_set, tuple(range(ITEMS)), ROWS)
    largest = max(float(np.abs(values).max()) for values in held.raw.values())
    model = rows_of(weights)
    if in_the_file is not None:
        model = joined_rows(weights, largest / 127 if in_the_file else None)
    assert ("own_scale" in blocked(model, precision, held=held, task=ROWS)) == sees
