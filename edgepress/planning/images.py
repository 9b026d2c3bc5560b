"""How many images a run will have, counted without opening one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgepress.data.walk import LeftOut, images

_DIGITS = 1797
_BROUGHT = {"digits": _DIGITS, "cifar10": 60_000, "cifar100": 60_000}
"""Sources whose images are a known number."""


def training_images(params: Mapping[str, Any], ingested: Mapping[str, Any]) -> int | None:
    """Return how many images are trained on, by ingest's numbers or by the source's files.

    None where only ingest can tell.
    """
    ingest = params.get("ingest") or {}
    known = (ingested.get("splits") or {}).get("train")
    count = known if isinstance(known, int) else _listed(ingest)
    if count is None:
        return None
    keep = (params.get("curate") or {}).get("keep")
    return max(1, round(count * keep)) if isinstance(keep, float) else count


def _listed(ingest: Mapping[str, Any]) -> int | None:
    source = ingest.get("source") or {}
    count = _BROUGHT.get(str(source.get("method"))) or _scenes(source) or _files(source)
    if count is None:
        return None
    split = ingest.get("split") or {}
    count = round(count * (1 - (split.get("val") or 0) - (split.get("test") or 0)))
    limit = ingest.get("limit")
    return min(count, limit) if isinstance(limit, int) else count


def _scenes(source: Mapping[str, Any]) -> int | None:
    scenes = source.get("scenes")
    return scenes if isinstance(scenes, int) else None


def _files(source: Mapping[str, Any]) -> int | None:
    """Count the images below the source's folder; one of Parquet or tar has none."""
    path = source.get("path")
    if not isinstance(path, str) or not Path(path).is_dir():
        return None
    return sum(1 for _ in images(Path(path), LeftOut())) or None
