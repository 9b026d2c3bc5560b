"""Curate: run one method on shards, in a scratch folder that a killed run can go on from."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.curation._select.curate_job import SPAN, CurateJob
from edgepress.curation._select.decision import Decision
from edgepress.errors import UserError
from edgepress.methods import Method, resolve
from edgepress.progress import Progress, silent
from edgepress.records.selection import Selection
from edgepress.vectors import ids
from edgepress.vectors.shards import Shards
from edgepress.workers.local import Engine, Local
from edgepress.workers.scratch import Work

LAYOUT = 2
"""Of the scratch folder; a change makes older folders start anew."""


@dataclass(frozen=True)
class Source:
    """What is selected from: vectors, the seed, and labels per row, int64 [N], for class floors."""

    shards: Shards
    seed: int
    classes: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Compute:
    """How a result is computed, which never changes it."""

    scratch: Path
    """Folder for what a killed run has done."""
    engine: Engine = Local()
    span: int = SPAN
    """Units of 8,192 rows per task."""
    every: float = 30.0
    """Seconds between saves inside a pass."""
    progress: Progress = silent
    """Told of each pass and how far it is."""


@dataclass(frozen=True)
class Curated:
    """What a method decided about every row, and where that lies until outputs are written."""

    method: Method
    decision: Decision
    folder: Path
    """The job's scratch folder."""

    def save(self, folder: Path) -> Selection:
        """Write the Selection into `folder`; a failure leaves that folder as it was."""
        params = self.method.params
        facts = {
            "method": self.method.name,
            "params": params.model_dump(mode="json"),
            "temperature": getattr(params, "temperature", None),
            "order": getattr(params, "order", None),
        }
        return self.decision.save(folder, facts)


@contextmanager
def curated(method: Method, source: Source, compute: Compute) -> Iterator[Curated]:
    """Decide about every row, then hold the scratch folder until the block ends well.

    A job that was killed or failed, inside the block too, is taken up where it was if method, seed
    and files are the same. A second process on the same job is a UserError.
    """
    shards, classes = source.shards, source.classes
    if classes is not None and len(classes) != shards.rows:
        raise UserError(f"classes: {len(classes)} labels for {shards.rows} rows; give one per row")
    if source.seed < 0:
        raise UserError(f"seed: {source.seed} is below 0; give a whole number of 0 or more")
    work = Work.open(compute.scratch, _key(method, source), compute.every)
    seed, engine, span = source.seed, compute.engine, compute.span
    job = CurateJob(shards, seed, work, engine, span, classes, compute.progress)
    try:
        yield Curated(method, _decide(method, job), work.folder)
        work.remove()
    finally:
        work.release()


def _decide(method: Method, job: CurateJob) -> Decision:
    try:
        ids.refuse_repeats(job.shards, job.work.folder / "ids.rows")
        decision: Decision = method(job)
    except UserError:
        job.work.remove_unless_begun()
        raise
    return decision


def curate(method: Method, source: Source, folder: Path, compute: Compute) -> Selection:
    """Select rows and write the Selection into `folder`, see `curated` and `Curated.save`."""
    with curated(method, source, compute) as found:
        return found.save(folder)


def prune(
    vectors: npt.NDArray[np.floating[Any]],
    params: dict[str, Any],
    seed: int,
    classes: npt.NDArray[np.int64] | None = None,
    engine: Engine | None = None,
) -> npt.NDArray[np.bool_]:
    """Return the mask of rows to keep, bool [N], of an array [N, D]; `params` as in params.yaml."""
    method = resolve("curation", params, "prune", "params")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "vectors.npy", np.ascontiguousarray(vectors), allow_pickle=False)
        source = Source(Shards.open([folder / "vectors.npy"]), seed, classes)
        compute = Compute(folder / "work", engine or Local())
        return curate(method, source, folder, compute).kept(folder)


def _key(method: Method, source: Source) -> str:
    params = method.params.model_dump(mode="json")
    facts = [LAYOUT, method.name, params, source.seed, source.shards.fingerprint]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    if source.classes is not None:
        digest.update(np.ascontiguousarray(source.classes, np.int64).tobytes())
    return digest.hexdigest()
