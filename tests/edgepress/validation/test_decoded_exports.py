"""Exports whose graph gives the boxes themselves, measured and judged as every target is.

The maps stay outputs, so that parity looks at them as ever; what follows them in the graph is seen
by agreement, drop and scores alone, and has faults of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch import nn

from edgepress import intervals
from edgepress.bundles.network import named
from edgepress.data.preprocess import normalise
from edgepress.devices import host
from edgepress.methods import resolve
from edgepress.records.exported import Exported, ExportedFile
from edgepress.records.measurement import Measurement
from edgepress.records.record import sha256_file
from edgepress.records.reference import OpenReference, sampled
from edgepress.records.tensors import Arrays
from edgepress.runtimes.openvino import library
from edgepress.tasks.task import Task
from edgepress.validation import measure
from edgepress.validation.diagnosis import tell
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.subject import Subject
from edgepress.validation.timing import Timing
from tests import scenes, spoilt
from tests.exported import BUNDLE

ITEMS, STEPS = 60, 100
DEVICE = sorted(host.here().devices)[0]
TASK = Task.open({**scenes.ENTRY, "sure": 0.2}, scenes.CLASSES, "test")
HEAD = {"method": "decoupled", "width": 8, "depth": 1}
OPTIONS: dict[str, dict[str, Any]] = {
    "onnxruntime": {"method": "onnx", "opset": 18},
    "openvino": {"method": "openvino"},
}
PLAN = Plan(Timing(warmup=5, runs=100, threads=1, confidence=0.95), seed=0)
GATES = Gates(
    max_drop=0.03,
    min_score={"mean_ap_50": 0.2},
    min_class_score=0.0,
    max_error={"fp32": 0.001, "int8": 0.4},
    min_agreement={"fp32": 0.995, "int8": 0.9},
    min_speedup=1.0,
)
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)

pytestmark = pytest.mark.usefixtures("untimed")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw fewer resamples."""
    drawn = intervals.resamples
    monkeypatch.setattr(intervals, "resamples", lambda items, groups=None: drawn(items, draws=100))


@dataclass(frozen=True)
class Setting:
    """A network that has learnt a little, the test pictures, and what it says of them."""

    network: nn.Module
    images: npt.NDArray[np.float32]
    reference: OpenReference


@pytest.fixture(scope="module")
def setting() -> Setting:
    network, test = scenes.learnt(TASK, HEAD, STEPS), scenes.examples()[1]
    images = normalise(test.pixels[:ITEMS], scenes.SPEC)
    outputs = TASK.answers.outputs(scenes.SPEC)
    with torch.inference_mode():
        found = named(network(torch.from_numpy(images)), tuple(each.name for each in outputs))
    raw = {name: values.numpy() for name, values in found.items()}
    ids = tuple(f"scene-{number}" for number in range(ITEMS))
    rows = sampled(ids, outputs)
    reference = OpenReference(
        ids,
        {name: values[:ITEMS] for name, values in test.truth.items()},
        TASK.answers.decode(raw, scenes.SPEC),
        rows,
        {name: values[list(rows)] for name, values in raw.items()},
        BUNDLE,
    )
    return Setting(network, images, reference)


@pytest.fixture(scope="module")
def export(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Subject]:
    """Return a function that writes an export once, its boxes decoded or not."""

    @cache
    def written(place: str, decoded: bool = True) -> Subject:
        folder = tmp_path_factory.mktemp("export") / "out"
        job = scenes.job(TASK, setting.network, HEAD, folder, f"{DEVICE}-{place}")
        job = replace(job, ending=TASK.ending(scenes.SPEC))
        options = {**OPTIONS[job.target.runtime], "decoded": decoded}
        resolve("export", options, "test", "export")(job)
        return Subject.read(folder)

    return written


def measured(subject: Subject, setting: Setting) -> tuple[Measurement, Arrays, set[str]]:
    """Return what validate measures of an export, its answers, and the gates that block it."""
    answered: list[Arrays] = []
    truth = measure.Truth(setting.reference, [{"image": setting.images}], TASK, scenes.SPEC)
    found = measure.measure(subject, None, truth, PLAN, answered.append)
    judged = judge(found, GATES, BUDGET, subject.exported.target)
    blocking = {each.gate for each in judged.verdicts if each.outcome != "pass"}
    return found, answered[0] if answered else {}, blocking


@pytest.mark.parametrize("place", ["onnxruntime-int8", "openvino-fp32"])
def test_scores_are_those_of_boxes_decoded_outside_when_the_graph_decodes_them(
    place: str, setting: Setting, export: Callable[..., Subject]
) -> None:
    plain, outside, blocking = measured(export(place, decoded=False), setting)
    found, inside, also = measured(export(place), setting)
    assert blocking == also == set()
    assert (inside["category"] >= 0).sum() == (outside["category"] >= 0).sum() > ITEMS
    assert [(each.name, each.of) for each in found.scores] == [
        (each.name, each.of) for each in plain.scores
    ]
    for ours, theirs in zip(found.scores, plain.scores, strict=True):
        assert ours.value.value == pytest.approx(theirs.value.value, abs=1e-6)
    assert found.parity is not None
    assert plain.parity is not None
    assert found.parity.outputs == plain.parity.outputs
    assert found.parity.agreement == pytest.approx(plain.parity.agreement, abs=1e-4)
    told, known = (tell(TASK, each, setting.reference).diagnosed for each in (inside, outside))
    assert told.ours.per_class == known.ours.per_class


def respoilt(subject: Subject, change: spoilt.Change, folder: Path) -> Subject:
    """Return a copy of an export of ONNX whose graph is spoilt, its record true to the file."""
    shutil.copytree(subject.folder, folder)
    path = folder / subject.exported.part.entry
    onnx.save(change(onnx.load(path)), path)
    return _recorded(subject.exported, folder)


def _recorded(exported: Exported, folder: Path) -> Subject:
    files = tuple(
        ExportedFile(path=e.path, sha256=sha256_file(path), bytes=path.stat().st_size)
        for e in exported.files
        for path in [folder / e.path]
    )
    exported.model_copy(update={"files": files}).write(folder)
    return Subject.read(folder)


SEES = {"agreement", "drop"}
WIDER = np.array([1, 1, 1.25, 1], np.float32)
"""Factors of left, top, right and bottom."""
FAULTS: dict[str, tuple[spoilt.Change, set[str]]] = {
    # fault: (what is done to the answer in the graph, gates that block it)
    "one coordinate scaled": (spoilt.by("Mul", "boxes", WIDER), SEES),
    "x for y": (spoilt.by("Gather", "boxes", [1, 0, 3, 2], axis=2), SEES),
    "ids one higher": (spoilt.by("Add", "category", np.int32(1)), SEES),
    "confidences halved": (spoilt.by("Mul", "scores", np.float32(0.5)), {"agreement"}),
    "confidences above 1": (spoilt.by("Mul", "scores", np.float32(4)), {"agreement"}),
    "count one higher": (spoilt.by("Add", "count", np.int32(1)), SEES),
    "NaN": (spoilt.by("Add", "boxes", np.float32(np.nan)), SEES),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_answers_spoilt_in_the_graph_are_blocked_though_the_maps_are_whole(
    fault: str, setting: Setting, export: Callable[..., Subject], tmp_path: Path
) -> None:
    change, sees = FAULTS[fault]
    subject = respoilt(export("onnxruntime-int8"), change, tmp_path / "out")
    blocking = measured(subject, setting)[2]
    assert blocking >= sees
    assert not blocking & {"integrity", "parity", "own_scale"}


def test_boxes_of_another_number_are_refused_in_one_line(
    setting: Setting, export: Callable[..., Subject], tmp_path: Path
) -> None:
    fewer = spoilt.by("Gather", "boxes", np.arange(19), axis=1)
    subject = respoilt(export("onnxruntime-int8"), fewer, tmp_path / "out")
    found, _, blocking = measured(subject, setting)
    assert found.not_run["integrity"] == "answers boxes with shape (1, 19, 4) instead of (1, 20, 4)"
    assert "integrity" in blocking


def test_one_coordinate_scaled_is_blocked_when_openvino_decodes(
    setting: Setting, export: Callable[..., Subject], tmp_path: Path
) -> None:
    healthy = export("openvino-fp32")
    folder = tmp_path / "out"
    shutil.copytree(healthy.folder, folder)
    openvino = library()
    path = folder / healthy.exported.part.entry
    model = openvino.Core().read_model(healthy.folder / path.name)
    (boxes,) = (each for each in model.outputs if "boxes" in each.get_names())
    result = boxes.get_node()
    plain = result.input_value(0)
    wider = openvino.opset13.multiply(plain, WIDER).output(0)
    wider.set_names(plain.get_names())
    plain.set_names(set())
    result.input(0).replace_source_output(wider)
    openvino.save_model(model, path, compress_to_fp16=False)
    blocking = measured(_recorded(healthy.exported, folder), setting)[2]
    assert blocking >= SEES
    assert not blocking & {"integrity", "parity", "own_scale"}
