"""Tiles: small objects in a large picture, found part by part and told in the whole's pixels.

The idea is SAHI's, Akyon et al. 2022, https://arxiv.org/abs/2202.06934. A tile is as large as the
network's input, so that nothing is shrunk; tiles overlap, so that what one cuts another has whole.
Their answers go through the suppression that those of one picture go through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.placement import placement
from edgepress.data.preprocess import fitted, normalise
from edgepress.data.window import Window
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.detection import boxes
from edgepress.tasks.detection.answers import Answers
from edgepress.tasks.detection.decoding import NO_ANSWER, NONE
from edgepress.tasks.detection.labels import Params
from edgepress.tasks.detection.windows import Tiles, windows

Run = Callable[[npt.NDArray[np.float32]], Mapping[str, npt.NDArray[Any]]]
"""Prepared tiles [n, C, H, W] to the network's outputs [n, ...] by name."""
_TOUCHES = 1.5
"""Pixels from a tile's inner edge within which a box ends where the tile does."""


def answered(
    picture: Image.Image, spec: InputSpec, rules: Answers, tiles: Tiles, run: Run
) -> Arrays:
    """Return the answer to one upright picture of 8 bits, its boxes in the picture's pixels.

    Each tile is prepared as `spec` says, as every picture is.
    """
    parts = windows(picture.size, spec, tiles)
    pixels = [fitted(each.of(picture), spec) for each in parts]
    found = rules.decode(run(normalise(np.stack(pixels), spec)), spec)
    return merged(found, parts, spec, rules.params)


def merged(found: Arrays, parts: Sequence[Window], spec: InputSpec, params: Params) -> Arrays:
    """Return the answers [n, K] of n windows as one [1, K], in the picture's pixels.

    A box that ends where its tile does may be a part of one: it goes where a box of its class that
    does not end so holds most of it. One window without an answer leaves the picture without.
    """
    most = params.most_answers
    whole: Arrays = {
        "boxes": np.zeros((1, most, 4), np.float32),
        "scores": np.zeros((1, most), np.float32),
        "category": np.full((1, most), NONE, np.int32),
    }
    if (found["category"] == NO_ANSWER).any():
        whole["category"][0, 0] = NO_ANSWER
        return whole
    row, place = np.nonzero(found["category"] >= 0)
    category, scores = found["category"][row, place], found["scores"][row, place]
    each, cut = _placed(found["boxes"][row, place], row, parts, spec)
    stay = ~_parts_of_others(each, category, cut, params.overlap)
    each, category, scores = each[stay], category[stay], scores[stay]
    kept = boxes.kept(each, scores, params.overlap, category, most)
    for name, values in (("boxes", each), ("scores", scores), ("category", category)):
        whole[name][0, : len(kept)] = values[kept]
    return whole


def _placed(
    each: npt.NDArray[np.float32],
    row: npt.NDArray[np.int64],
    parts: Sequence[Window],
    spec: InputSpec,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return boxes [n, 4] in the picture's pixels, and whether each ends at an inner edge."""
    places = [placement(window.size, spec) for window in parts]
    scale = np.array([place.scale for place in places], np.float32)[row]
    corner = np.array([(place.left, place.top) for place in places], np.float32)[row]
    edges = np.array([each.edges for each in parts], np.float32)[row]
    found = (each - np.tile(corner, 2)) / np.tile(scale, 2) + np.tile(edges[:, :2], 2)
    found = np.clip(found, np.tile(edges[:, :2], 2), np.tile(edges[:, 2:], 2))
    right, bottom = max(w.right for w in parts), max(w.bottom for w in parts)
    border = np.array([0, 0, right, bottom], np.float32)
    cut = (np.abs(found - edges) < _TOUCHES) & (edges != border)
    return found.astype(np.float32), cut.any(axis=1)


def _parts_of_others(
    each: npt.NDArray[np.float32],
    category: npt.NDArray[np.int32],
    cut: npt.NDArray[np.bool_],
    share: float,
) -> npt.NDArray[np.bool_]:
    held = boxes.with_crowds(each, each[~cut], np.ones(int((~cut).sum()), np.bool_))
    alike = category[:, None] == category[None, ~cut]
    return np.asarray(cut & ((held > share) & alike).any(axis=1))
