"""Listings of objects ingested for detection, and small sets of pictures to be labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.listing import Listing
from edgepress.data.splits import Fractions
from edgepress.data.table import read_table
from edgepress.methods import resolve
from edgepress.records.manifest import Manifest
from edgepress.tasks.task import Task

ENTRY: dict[str, Any] = {
    "method": "detection",
    "strides": [8, 16],
    "most_objects": 20,
    "most_answers": 20,
    "least_score": 0.05,
    "overlap": 0.6,
    "sure": 0.4,
}


def listed(entry: dict[str, Any], out: Path) -> Listing:
    """Return what a source lists."""
    listing: Listing = resolve("data.sources", entry, "params.yaml", "ingest.source")(out)
    return listing


def detected(
    entry: dict[str, Any], out: Path, limit: int | None = None
) -> tuple[Manifest, dict[str, dict[str, Any]]]:
    """Ingest a source for detection; return the manifest and its rows by id."""
    out.mkdir(parents=True, exist_ok=True)
    listing = listed(entry, out)
    task = Task.open(ENTRY, listing.classes, "test")
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=limit)
    manifest = build_manifest(listing, out, rules, Labelling(ENTRY, task.labels))
    return manifest, {row["id"]: row for row in read_table(out).to_pylist()}


def picture(path: Path, width: int = 40, height: int = 30, orientation: int = 1) -> Path:
    """Write a picture of noise, its own for each path, turned by EXIF where asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = list(path.as_posix().encode())
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise).save(path, exif=exif)
    return path
