"""The pieces that every test of curation needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation.curate import Compute, Source, curate
from edgepress.methods import resolve
from edgepress.records.selection import Selection
from edgepress.vectors.shards import Shards
from edgepress.workers.local import Local
from edgepress.workers.scratch import Work

Run = Callable[..., tuple[Selection, bytes]]


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., CurateJob]:
    """Return a maker of jobs on an array, in a scratch folder of the test."""

    def make(vectors: npt.NDArray[Any], workers: int = 1, name: str = "v") -> CurateJob:
        path = tmp_path / f"{name}.npy"
        np.save(path, vectors)
        work = Work.open(tmp_path / f"{name}-scratch", "k")
        return CurateJob(Shards.open([path]), 0, work, Local(workers))

    return make


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a runner: params and paths in, the selection and the bytes of its table out."""

    def go(params: dict[str, Any], paths: list[Path], **compute: Any) -> tuple[Selection, bytes]:
        method = resolve("curation", params, "test", "params")
        source = Source(Shards.open(paths), compute.pop("seed", 0), compute.pop("classes", None))
        out = tmp_path / "out"
        given = {"scratch": tmp_path / "scratch", "engine": Local(1), **compute}
        selection = curate(method, source, out, Compute(**given))
        return selection, (out / "selection.parquet").read_bytes()

    return go
