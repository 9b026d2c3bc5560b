"""Points inside boxes: the objects of one picture, each answered in its own crop.

Boxes may be a detector's: top-down pose estimation. A picture is cut by the code that cut it for
training, prepared as every picture is, and each answer is told in the whole picture's pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.placement import placement
from edgepress.data.preprocess import fitted, normalise
from edgepress.data.window import Window
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.keypoints.answers import Answers
from edgepress.tasks.keypoints.labels import Params
from edgepress.tasks.task import Crop

Run = Callable[[npt.NDArray[np.float32]], Mapping[str, npt.NDArray[Any]]]
"""Prepared crops [n, C, H, W] to the network's outputs [n, ...] by name."""


def inside(*, params: Params) -> Crop | None:
    """Return what cuts objects out of a picture; None where whole pictures are answered."""
    return None if params.inside is None else partial(windows, params=params)


def windows(boxes: npt.NDArray[np.floating], size: tuple[int, int], params: Params) -> list[Window]:
    """Return the crop around each of boxes [n, 4], in pixels of a picture of (width, height).

    A task that takes whole pictures, or a box with no area in the picture, is a UserError.
    """
    if params.inside is None:
        raise UserError(
            "task.inside: null, so the network has learnt whole pictures; train it with a margin"
        )
    limit = (*size, *size)
    found = []
    for row, (left, top, right, bottom) in enumerate(np.clip(boxes, 0, limit).tolist()):
        if not (left < right and top < bottom):  # NaN neither
            said = ", ".join(f"{value:g}" for value in boxes[row])
            raise UserError(
                f"boxes: row {row}: {said} has no area in a picture of {size[0]} x {size[1]}; "
                "leave it out"
            )
        found.append(Window.around((left, top, right, bottom), params.inside.margin, size))
    return found


def answered(
    picture: Image.Image,
    boxes: npt.NDArray[np.floating],
    spec: InputSpec,
    rules: Answers,
    run: Run,
) -> Arrays:
    """Return the points of the objects in boxes [n, 4] of one upright picture of 8 bits.

    A box is left, top, right, bottom in the picture's pixels. `points` float32 [n, K, 2] are in
    them too, NaN where the network gave no answer; `scores` float32 [n, K] are those of `rules`.
    """
    parts = windows(boxes, picture.size, rules.params)
    if not parts:
        count = len(rules.params.points)
        return {
            "points": np.zeros((0, count, 2), np.float32),
            "scores": np.zeros((0, count), np.float32),
        }
    pixels = [fitted(each.of(picture), spec) for each in parts]
    found = rules.decode(run(normalise(np.stack(pixels), spec)), spec)
    return {"points": placed(found["points"], parts, spec), "scores": found["scores"]}


def placed(
    points: npt.NDArray[np.floating], parts: Sequence[Window], spec: InputSpec
) -> npt.NDArray[np.float32]:
    """Return points [n, K, 2] of the input, one row a window, in the whole picture's pixels."""
    places = [placement(each.size, spec) for each in parts]
    scale = np.array([place.scale for place in places])[:, None]
    framed = np.array([(place.left, place.top) for place in places])[:, None]
    corner = np.array([each.edges[:2] for each in parts])[:, None]
    found = (points.astype(np.float64) - framed) / scale + corner
    return np.asarray(found, np.float32)
