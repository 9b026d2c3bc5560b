"""Drawing: an answer over the picture it is of, in the picture's own size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.placement import LETTERBOX, Frame
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task

Picture = npt.NDArray[np.uint8]


def drawn(canvas: Picture, answer: Arrays, frame: Frame, of: tuple[Task, InputSpec]) -> Picture:
    """Return a picture RGB [H, W, 3] with an answer to its part in `frame` drawn over it.

    A task draws over what lies in the whole input, so a letterbox is put around the part first.
    """
    task, spec = of
    (left, top), (width, height) = frame.corner, frame.size
    part = np.s_[top : top + height, left : left + width]
    framed, inner = _framed(canvas[part], frame, spec)
    whole = canvas.copy()
    whole[part] = task.pictures.draw(framed, answer, spec)[inner]
    return whole


def rgb(picture: Image.Image) -> Picture:
    """Return a picture of 8 bits as RGB [H, W, 3]."""
    return np.asarray(picture.convert("RGB"), np.uint8)


def _framed(part: Picture, frame: Frame, spec: InputSpec) -> tuple[Picture, tuple[slice, slice]]:
    """Return the input as it would be without resizing, and where the part lies in it."""
    height, width = part.shape[:2]
    across, down = frame.place.scale
    left, top = round(frame.place.left / across), round(frame.place.top / down)
    wide = max(round(spec.width / across), left + width)
    high = max(round(spec.height / down), top + height)
    framed = np.full((high, wide, 3), LETTERBOX, np.uint8)
    inner = np.s_[top : top + height, left : left + width]
    framed[inner] = part
    return framed, inner
