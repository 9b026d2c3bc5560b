"""Vectors with the structure curation looks for, and the pieces every test of it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgepress.curation.curate import Means, Source, curate
from edgepress.curation.engine import Local
from edgepress.curation.job import Job
from edgepress.curation.shards import Shards
from edgepress.curation.work import Work
from edgepress.methods import resolve
from edgepress.records.selection import Selection

COMPLEXITY = {
    "method": "concept_complexity", "keep": 0.3, "concepts": 12, "passes": 2, "neighbours": 5,
    "temperature": 0.1, "floor": 1, "class_floor": 0, "deduplicate": 0.995,
    "duplicate_kept": "farthest", "order": "hard",
}  # fmt: skip

Run = Callable[..., tuple[Selection, bytes]]


def clusters(rows: int, width: int = 16, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return vectors around 12 directions, some tight and some wide, with 40 exact copies."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, width))
    label = rng.integers(0, 12, rows)
    wide = rng.uniform(0.05, 0.6, (12, 1))[label]
    vectors = (centres[label] + rng.standard_normal((rows, width)) * wide).astype(np.float32)
    vectors[-40:] = vectors[:40]
    return vectors


@pytest.fixture
def vectors() -> Callable[..., npt.NDArray[np.float32]]:
    """Return the maker of vectors, `clusters`."""
    return clusters


@pytest.fixture
def complexity() -> dict[str, Any]:
    """Return parameters of concept complexity that suit `vectors`."""
    return dict(COMPLEXITY)


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    """Return a maker of jobs on an array, in a scratch folder of the test."""

    def make(vectors: npt.NDArray[Any], workers: int = 1, name: str = "v") -> Job:
        path = tmp_path / f"{name}.npy"
        np.save(path, vectors)
        work = Work.open(tmp_path / f"{name}-scratch", "k")
        return Job(Shards.open([path]), 0, work, Local(workers))

    return make


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a runner: params and paths in, the selection and the bytes of its table out."""

    def go(params: dict[str, Any], paths: list[Path], **means: Any) -> tuple[Selection, bytes]:
        method = resolve("curation", params, "test", "params")
        source = Source(Shards.open(paths), means.pop("seed", 0), means.pop("classes", None))
        out = tmp_path / "out"
        given = {"scratch": tmp_path / "scratch", "engine": Local(1), **means}
        selection = curate(method, source, out, Means(**given))
        return selection, (out / "selection.parquet").read_bytes()

    return go
