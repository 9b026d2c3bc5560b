"""Objects of COCO: boxes from a corner and a size, polygons, run lengths, keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgepress.data.picture import UnusableError
from edgepress.data.sources._objects import UNKNOWN_CLASS, UNREADABLE, corners, labelled, numbers
from edgepress.data.sources._rle import decoded, outlines


def coco_object(found: Any, index: Mapping[Any, int], where: str) -> dict[str, Any]:
    """Return one annotation as an object; `index` leads from category ids to classes.

    What cannot be read is `UnusableError`.
    """
    if not isinstance(found, dict):
        raise UnusableError(f"{UNREADABLE}: {where}: an annotation is {str(found)[:60]}")
    where = f"{where}: annotation {str(found.get('id'))[:40]}"
    category = found.get("category_id")
    if type(category) not in (int, float, str) or category not in index:
        raise UnusableError(f"{UNKNOWN_CLASS}: {where}: there is no category {category!r:.60}")
    area: Any = found.get("area")
    return labelled(
        index[category],
        box=_box(found.get("bbox"), where),
        rings=_rings(found.get("segmentation"), where),
        points=numbers(found.get("keypoints") or [], f"{where}: keypoints") or None,
        area=float(area) if type(area) in (int, float) and 0 < area < 1e12 else None,
        crowd=bool(found.get("iscrowd")),
        ignore=bool(found.get("ignore")),
    )


def _box(found: Any, where: str) -> list[float] | None:
    if found is None or found == []:
        return None
    box = numbers(found, f"{where}: bbox")
    if len(box) != 4:
        raise UnusableError(f"{UNREADABLE}: {where}: bbox: expected x, y, width, height; got {box}")
    left, top, width, height = box
    return corners([left, top, left + width, top + height], where)


def _rings(found: Any, where: str) -> list[list[float]] | None:
    if isinstance(found, dict):
        try:
            return outlines(decoded(found.get("size"), found.get("counts"))) or None
        except UnusableError as error:
            kind, _, detail = str(error).partition(": ")
            raise UnusableError(f"{kind}: {where}: {detail}") from None
    if found is None or found == []:
        return None
    if not isinstance(found, list):
        raise UnusableError(f"{UNREADABLE}: {where}: segmentation is {str(found)[:60]}")
    return [numbers(ring, f"{where}: segmentation") for ring in found]
