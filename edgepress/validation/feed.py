"""Feed: inputs for a bare model's file, random or prepared from pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.errors import UserError
from edgepress.records.tensors import Array
from edgepress.runtimes.bare import Slot

_SEED = 0


def random(slots: Sequence[Slot]) -> list[Array]:
    """Return an array for each input: floats of the standard normal, bytes of the whole range.

    Wider integers are mostly places in a table, whose size is not known: they are zeros.
    """
    rng = np.random.default_rng(_SEED)
    return [_drawn(slot, rng) for slot in slots]


def pictures(path: Path, slots: Sequence[Slot], images: Sequence[Image.Image]) -> list[list[Array]]:
    """Return upright pictures as a model of one image takes them, resized to its input.

    Floats are of the 0..1 scale, bytes are levels, int8 levels less 128; another model: UserError.
    """
    layout = _layout(slots[0].shape) if len(slots) == 1 else None
    if layout is None or slots[0].dtype.name not in ("float16", "float32", "uint8", "int8"):
        held = ", ".join(f"{slot.name} {slot.dtype} {slot.shape}" for slot in slots)
        raise UserError(f"{path}: --data has pictures, and it takes {held}; leave --data out")
    return [[_prepared(each, slots[0], layout)] for each in images]


def _drawn(slot: Slot, rng: np.random.Generator) -> Array:
    kind = slot.dtype.name
    if slot.dtype.kind == "f":
        return rng.standard_normal(slot.shape, np.float32).astype(slot.dtype)
    if kind in ("int8", "uint8"):
        bounds = np.iinfo(kind)
        return rng.integers(bounds.min, bounds.max + 1, slot.shape).astype(kind)
    return np.zeros(slot.shape, slot.dtype)


def _layout(shape: tuple[int, ...]) -> str | None:
    """Return NCHW or NHWC for one image, grey or RGB; None for anything else."""
    if len(shape) != 4 or shape[0] != 1:
        return None
    if shape[1] in (1, 3):
        return "NCHW"
    return "NHWC" if shape[3] in (1, 3) else None


def _prepared(image: Image.Image, slot: Slot, layout: str) -> Array:
    count, height, width = (slot.shape[layout.index(axis)] for axis in "CHW")
    fitted = image.convert("L" if count == 1 else "RGB").resize((width, height))
    pixels: npt.NDArray[np.uint8] = np.asarray(fitted, np.uint8).reshape(1, height, width, count)
    if layout == "NCHW":
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    if slot.dtype == np.uint8:
        return pixels
    if slot.dtype == np.int8:
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    return (pixels / np.float32(255)).astype(slot.dtype)
