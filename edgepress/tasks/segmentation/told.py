"""An answer of segmentation for other programs: each class's share and its mask, run by run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.data.placement import Frame
from edgepress.records.tensors import Arrays


def told(
    answer: Arrays,
    classes: tuple[str, ...],
    frame: Frame,
    *,
    params: Any,  # noqa: ARG001
) -> dict[str, Any] | None:
    """Return the classes there are, in the picture's own pixels; None where there is no answer.

    A mask is COCO's uncompressed run-length code: runs of pixels without and with the class by
    turns, down the columns one after another.
    """
    mask = frame.grid(answer["mask"][0])
    if (mask >= len(classes)).any():
        return None
    found = []
    for index in np.unique(mask).tolist():
        here = mask == index
        code = {"size": list(here.shape), "counts": _runs(here)}
        found.append({"class": classes[index], "share": float(here.mean()), "mask": code})
    return {"segments": found}


def _runs(here: npt.NDArray[np.bool_]) -> list[int]:
    flat = here.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    ends = [0, *edges.tolist(), flat.size]
    runs = np.diff(ends).tolist()
    return [0, *runs] if flat[0] else runs
