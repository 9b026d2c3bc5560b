"""What an example holds of ours decodes as it does here, for every task and coding."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.example.copied import copy
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from tests import shapes, spots

SPEC = InputSpec(height=32, width=48, channels=1, mean=(0.5,), std=(0.5,))
DEFAULT_BOXES = {"method": "default_boxes", "ratios": [2.0, 3.0], "least": 0.2, "most": 0.9}
QUERIES = {**shapes.ENTRY, "strides": [], "coding": {"method": "queries", "queries": 40}}
MULTILABEL = {"method": "multilabel", "labels": "classes", "threshold": 0.6}
ENTRIES: dict[str, dict[str, Any]] = {
    "classification": {"method": "classification"},
    "multilabel": {**MULTILABEL, "focus_positive": 0, "focus_negative": 0, "margin": 0},
    "segmentation": {"method": "segmentation", "ignore_index": None, "argmax": False},
    "argmax": {"method": "segmentation", "ignore_index": None, "argmax": True},
    "distances": shapes.ENTRY,
    "default_boxes": {**shapes.ENTRY, "coding": DEFAULT_BOXES},
    "queries": QUERIES,
    "heatmap": spots.ENTRY,
    "simcc": {**spots.ENTRY, "form": "simcc"},
}


class Settings:
    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)


def plain(record: Any) -> Any:
    """Return a record as an example reads it from settings.json."""
    return json.loads(record.model_dump_json(), object_hook=Settings)


@pytest.mark.parametrize("name", list(ENTRIES))
def test_copied_code_decodes_and_tells_as_ours_when_given_random_outputs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task.open(ENTRIES[name], shapes.CLASSES, "test")
    room = f"edgepress.tasks.{task.name}"
    package = f"copied_{name}"
    copy(["edgepress.data.placement", f"{room}.decoding", f"{room}.told"], tmp_path / package)
    monkeypatch.syspath_prepend(tmp_path)
    decoding, told, place = (
        importlib.import_module(f"{package}.{each}") for each in ("decoding", "told", "placement")
    )
    rng = np.random.default_rng(0)
    raw = {
        each.name: rng.integers(0, 3, each.shape).astype(each.dtype)
        if each.dtype == "int32"
        else rng.normal(0, 2, each.shape).astype(each.dtype)
        for each in task.answers.outputs(SPEC)
    }
    expected = task.answers.decode(raw, SPEC)
    params, spec = plain(task.params), plain(SPEC)
    found = decoding.decoded(raw, spec, shapes.CLASSES, params)
    for key, values in expected.items():
        np.testing.assert_array_equal(found[key], values)
        assert found[key].dtype == values.dtype
    from edgepress.data.placement import Frame, placement

    frame = place.Frame((90, 70), place.placement((90, 70), spec))
    said = told.told(found, shapes.CLASSES, frame, params=params)
    assert said == task.told(expected, Frame((90, 70), placement((90, 70), SPEC)))
    for each in [each for each in sys.modules if each.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, each)


def test_copied_code_imports_nothing_but_numpy_pillow_and_python(tmp_path: Path) -> None:
    known = {*sys.stdlib_module_names, "numpy", "PIL", ""}
    rooms = ("classification", "multilabel", "segmentation", "detection", "keypoints")
    for room in rooms:
        roots = [f"edgepress.tasks.{room}.{each}" for each in ("decoding", "told")]
        copy(["edgepress.data.preprocess", *roots], tmp_path / room)
        for path in (tmp_path / room).glob("*.py"):
            named = re.findall(r"^(?:from|import) ([\w]*)", path.read_text(), re.MULTILINE)
            assert set(named) <= known, path
