"""Decoding of detection: the surest boxes of each class, none over another of its class.

NumPy alone, parameters and input by their fields alone: `edgepress example` copies it to devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays, Tensors
from edgepress.tasks.detection import boxes
from edgepress.tasks.detection.codings import default_boxes, distances, queries
from edgepress.tasks.detection.codings.coding import Coding

NONE = -1
"""Category of a place in an array of boxes that holds no object."""
NO_ANSWER = -9
"""Category in the first place of an image whose outputs are not finite."""


def decoded(raw: Tensors, spec: InputSpec, classes: tuple[str, ...], params: Any) -> Arrays:
    """Return the answers of n items; places of the K without a box have category -1.

    Where the graph went on to `boxes`, `scores` and `category` these are taken as they are; one
    with a class that there is not, or a `count` of other than its boxes, is no answer.
    """
    count = len(next(iter(raw.values())))
    most = params.most_answers
    found: Arrays = {
        "boxes": np.zeros((count, most, 4), np.float32),
        "scores": np.zeros((count, most), np.float32),
        "category": np.full((count, most), NONE, np.int32),
    }
    finite = np.all([np.isfinite(m).reshape(count, -1).all(1) for m in raw.values()], axis=0)
    found["category"][~finite, 0] = NO_ANSWER
    if all(name in raw for name in found):
        sound = _sound(raw, len(classes))
        found["category"][~sound, 0] = NO_ANSWER
        for name, values in found.items():
            values[finite & sound] = raw[name][finite & sound]
        return found
    for row in np.flatnonzero(finite).tolist():
        item = {name: values[row] for name, values in raw.items()}
        _decode(item, spec, (opened(params, len(classes)), params), row, found)
    return found


def opened(params: Any, classes: int) -> Coding:
    """Return the coding that a task names, for a number of classes."""
    entry = params.coding
    if entry.method == "queries":
        return queries.coding(classes, params=entry)
    if entry.method == "distances":
        return distances.coding(classes, params.strides)
    return default_boxes.coding(classes, params.strides, params=entry)


def _sound(raw: Tensors, classes: int) -> npt.NDArray[np.bool_]:
    """Say of each item whether what its graph decoded is of classes that there are."""
    category = raw["category"]
    known = ((category >= NONE) & (category < classes)).all(axis=1)
    if "count" in raw:
        known &= raw["count"] == (category >= 0).sum(axis=1)
    return np.asarray(known)


def _decode(
    item: Tensors, spec: InputSpec, by: tuple[Coding, Any], row: int, found: Arrays
) -> None:
    coding, params = by
    every = coding.candidates(item, spec, params.least_score)
    cut = np.clip(every.boxes, 0, np.array([spec.width, spec.height] * 2, np.float32))
    there = np.flatnonzero((cut[:, 2:] > cut[:, :2]).all(axis=1))
    cut, scores, category = cut[there], every.scores[there], every.category[there]
    stay = boxes.kept(cut, scores, params.overlap, category, params.most_answers)
    count = len(stay)
    found["boxes"][row, :count] = cut[stay]
    found["scores"][row, :count] = scores[stay]
    found["category"][row, :count] = category[stay]
