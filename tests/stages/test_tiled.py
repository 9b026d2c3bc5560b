"""Large pictures through the stages: answered by tiles where the task says so, export and float."""

from __future__ import annotations

import contextlib
import shutil
import sys
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from PIL import Image

from edgepress import intervals
from edgepress.bundles import bundle
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.listing import Entry, Listing
from edgepress.data.objects import OBJECTS
from edgepress.data.sources import digit_scenes
from edgepress.data.splits import Fractions
from edgepress.devices import host
from edgepress.progress import silent
from edgepress.records.diagnosis import Diagnosed
from edgepress.records.exported import Exported, ExportedFile
from edgepress.records.manifest import SPLITS
from edgepress.records.measurement import Measurement
from edgepress.records.record import sha256_file
from edgepress.records.reference import Reference
from edgepress.tasks.task import Task
from stages import export, quantize, validate
from stages.reference import refer
from stages.stage import main
from tests import scenes, spoilt
from tests.stages.test_quantize import select

ACROSS, DOWN, PICTURES, STEPS = 3, 2, 60, 60
KEY = f"{sorted(host.here().devices)[0]}-onnxruntime-fp32"
HEAD = {"method": "decoupled", "width": 8, "depth": 1}
ENTRY = {**scenes.ENTRY, "most_objects": 20, "sure": 0.2, "tiles": {"overlap": 0.5, "whole": True}}
PARAMS: dict[str, Any] = {
    "seed": 0,
    "task": ENTRY,
    "baseline": "fp32",
    "distill": {"backbone": scenes.BACKBONE, "head": HEAD},
    "quantize": {"fp32": {"method": "none"}},
    "export": {"onnx": {"opset": 18}},
    "validate": {"warmup": 5, "runs": 100, "threads": 1, "confidence": 0.95},
}


Scene = tuple[np.ndarray, list[dict[str, Any]]]


def listing(folder: Path) -> Listing:
    """Write pictures of six scenes side by side, whose digits are as large as those learnt from."""
    params = digit_scenes.Params(
        method="digit_scenes",
        scenes=ACROSS * DOWN * PICTURES,
        side=scenes.SIDE,
        least=0,
        most=2,
        digits=(0, 1, 4),
    )
    entries: list[Entry] = []
    for split, group in groupby(digit_scenes._scenes(params), key=itemgetter(0)):
        drawn = [(canvas, objects) for _, canvas, objects in group]
        for start in range(0, len(drawn) - ACROSS * DOWN + 1, ACROSS * DOWN):
            pixels, label = joined(drawn[start : start + ACROSS * DOWN])
            path = folder / f"{len(entries):02}.png"
            Image.fromarray(pixels).save(path)
            entries.append(Entry.of_file(path, folder, label, split))
    return Listing(
        source="test",
        where="scenes side by side",
        container="file",
        inside=False,
        classes=scenes.CLASSES,
        splits=frozenset(SPLITS),
        entries=lambda: iter(entries),
        labels=OBJECTS,
    )


def joined(parts: list[Scene]) -> tuple[np.ndarray, dict[str, Any]]:
    """Return scenes, row by row, as one picture with its label."""
    rows = [np.hstack([canvas for canvas, _ in parts[at : at + ACROSS]]) for at in (0, ACROSS)]
    objects = []
    for place, (_, found) in enumerate(parts):
        corner = np.array([place % ACROSS, place // ACROSS] * 2) * scenes.SIDE
        objects += [{**each, "box": (corner + each["box"]).tolist()} for each in found]
    pixels = np.vstack(rows)
    label = {"width": pixels.shape[1], "height": pixels.shape[0], "relative": False}
    return pixels, {**label, "objects": objects}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory as slim leaves it, quantized and exported in float."""
    root = tmp_path_factory.mktemp("tiled")
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (root / "pictures").mkdir()
    listed, task = listing(root / "pictures"), Task.open(ENTRY, scenes.CLASSES, "test")
    rules = Rules(split=Fractions(val=0.1, test=0.3), limit=None)
    build_manifest(listed, root / "data/manifest", rules, Labelling(ENTRY, task.labels))
    select(root)
    draft = bundle.Draft(
        task=task,
        backbone=scenes.BACKBONE,
        head=HEAD,
        input=scenes.SPEC,
        lineage={"stage": "slim"},
    )
    network = scenes.learnt(scenes.TASKS["distances"], HEAD, STEPS)
    bundle.save(root / "models/slim", network, draft)
    with contextlib.chdir(root):
        run("quantize", quantize.work, "fp32")
        run("export", export.work, KEY)
    return root


def run(name: str, work: Any, key: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, key])
        main(name, work, keyed=True)


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    drawn = intervals.resamples
    monkeypatch.setattr(intervals, "resamples", lambda items, groups=None: drawn(items, draws=100))
    shutil.copytree(made, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def measured(root: Path) -> Measurement:
    run("validate", validate.work, KEY)
    return Measurement.read(root / "targets/measured" / KEY)


def test_scores_of_reference_and_export_are_of_tiles_when_the_task_says_so(root: Path) -> None:
    found = measured(root)
    assert not (root / ".edgepress/decoded").exists()  # no picture is looked at whole
    assert found.parity is not None
    assert found.score is not None
    assert found.score.drop is not None
    assert found.parity.error < 1e-3
    assert found.parity.agreement > 0.999
    test = ImageSet.open(root / "data/manifest", "test")
    assert found.score.items == found.parity.sample == len(test)
    held = Reference.open(root / "models/quantized/fp32/reference", "")
    record, network = bundle.load(root / "models/quantized/fp32/bundle")
    task = Task.open(record.task, record.classes, "test")
    assert found.score.value.value == pytest.approx(
        task.answers.first_score(held.answers, held.truth), abs=1e-3
    )
    (note,) = Diagnosed.read(root / "targets/measured" / KEY).ours.notes
    assert "answered by tiles that overlap by 0.5 of a side" in note
    shrunk = Task.open({**ENTRY, "tiles": None}, record.classes, "test")
    whole = refer(network, test, shrunk, record.input, silent)
    assert all(np.array_equal(held.truth[name], whole.truth[name]) for name in whole.truth)
    scores = [task.answers.score(each.answers, None, each.truth, 0.95)[1] for each in (held, whole)]
    assert scores[0].value.low > scores[1].value.high  # at an overlap of 0.5


def test_answers_lie_within_the_input_when_tiles_are_merged(root: Path) -> None:
    answers = Reference.open(root / "models/quantized/fp32/reference", "").answers
    there = answers["category"] >= 0
    boxes = answers["boxes"][there]
    assert there.sum() > 0
    assert boxes.min() >= 0
    assert boxes.max() <= scenes.SIDE
    assert ((boxes[:, 2:] - boxes[:, :2]).max(axis=0) < scenes.SIDE).all()
    assert not answers["boxes"][~there].any()


def test_one_coordinate_scaled_is_seen_when_pictures_are_answered_by_tiles(root: Path) -> None:
    further = np.log(np.array([1, 1, 1.5, 1], np.float32)).reshape(1, 4, 1, 1)
    folder = root / "targets/exported" / KEY
    model = onnx.load(folder / "model.onnx")
    for stride in scenes.ENTRY["strides"]:
        model = spoilt.by("Add", f"boxes_{stride}", further)(model)
    onnx.save(model, folder / "model.onnx")
    recorded(folder)
    found = measured(root)
    assert found.parity is not None
    assert found.parity.agreement < 0.99
    assert found.parity.error > 0.01


def test_answers_differ_when_the_export_is_measured_without_tiles(root: Path) -> None:
    folder = root / "targets/exported" / KEY
    exported = Exported.read(folder)
    exported.model_copy(update={"task": {**ENTRY, "tiles": None}}).write(folder)
    found = measured(root)
    assert found.parity is not None
    assert found.parity.agreement < 0.9


def recorded(folder: Path) -> None:
    """Let an export's record be true to its changed file."""
    exported = Exported.read(folder)
    (file,) = exported.files
    path = folder / file.path
    true = ExportedFile(path=file.path, sha256=sha256_file(path), bytes=path.stat().st_size)
    exported.model_copy(update={"files": (true,)}).write(folder)
