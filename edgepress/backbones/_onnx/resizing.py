"""Operators that make maps larger or smaller between their pixels."""

from __future__ import annotations

import functools
from typing import Any, Final

from torch.nn import functional

from edgepress.backbones._onnx.node import Node, Operator, Reading

_HALF: Final = ("half_pixel", "pytorch_half_pixel")


def _resize(node: Node) -> Reading:
    if len(node.shape()) != 4 or node.shape()[:2] != node.given()[:2]:
        raise node.refused("changes other axes than height and width of maps")
    if node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refused("keeps proportions")
    mode, corners = _mode(node)
    size: tuple[int, ...] = node.given()[2:]
    antialias = bool(node.attributes.get("antialias", 0))
    held: dict[str, Any] = {"size": size, "mode": mode, "antialias": antialias}
    return Reading(node.inputs[:1], {**held, "align_corners": corners})


def _mode(node: Node) -> tuple[str, bool | None]:
    """Return torch's word for a mode, and whether corners are aligned; what it has not is refused.

    Whole scales of the nearest pixel are the same for all ways to count.
    """
    mode = node.attributes.get("mode", "nearest")
    way = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if node.operator == "Upsample":
        way = "asymmetric"
    scales = [to / of for to, of in zip(node.given()[2:], node.shape()[2:], strict=True)]
    if mode == "nearest":
        floor = node.attributes.get("nearest_mode", "round_prefer_floor") == "floor"
        whole = all(scale >= 1 and scale == int(scale) for scale in scales)
        if (way == "asymmetric" and (floor or node.operator == "Upsample")) or (
            way in _HALF and whole
        ):
            return "nearest", None
        if way in _HALF and not floor:
            return "nearest-exact", None
    elif mode in ("linear", "cubic") and (way in _HALF or way == "align_corners"):
        return {"linear": "bilinear", "cubic": "bicubic"}[mode], way == "align_corners"
    raise node.refused(f"resizes by {mode}, {way}, which torch cannot")


OPERATORS: Final[dict[str, Operator]] = {
    name: Operator(_resize, lambda **held: functools.partial(functional.interpolate, **held))
    for name in ("Resize", "Upsample")
}
