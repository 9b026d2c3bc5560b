"""Curate: run one method on shards, in a scratch folder that a killed run can go on from."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.curation import ids
from edgepress.curation.engine import Engine, Local
from edgepress.curation.job import SPAN, Job
from edgepress.curation.outcome import Outcome
from edgepress.curation.shards import Shards
from edgepress.curation.work import Work
from edgepress.errors import UserError
from edgepress.methods import Method, resolve
from edgepress.records.selection import Selection

LAYOUT = 1
"""Of the scratch folder; a change makes older folders start anew."""


@dataclass(frozen=True)
class Source:
    """What is selected from: vectors, the seed, and labels per row, int64 [N], for class floors."""

    shards: Shards
    seed: int
    classes: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Means:
    """How a result is computed, which never changes it."""

    scratch: Path
    """Folder for what a killed run has done."""
    engine: Engine = Local()
    span: int = SPAN
    """Units of 8,192 rows per task."""
    every: float = 30.0
    """Seconds between saves inside a pass."""


def curate(method: Method, source: Source, folder: Path, means: Means) -> Selection:
    """Select rows and write the Selection into `folder`; a failure leaves that folder as it was.

    A killed run is taken up where it was if method, seed and files are the same; the scratch
    folder goes when the selection is written.
    """
    shards, classes = source.shards, source.classes
    if classes is not None and len(classes) != shards.rows:
        raise UserError(f"classes: {len(classes)} labels for {shards.rows} rows; give one per row")
    work = Work.open(means.scratch, _key(method, source), means.every)
    job = Job(shards, source.seed, work, means.engine, means.span, classes)
    try:
        ids.refuse_repeats(shards, work.folder / "ids.rows")
        outcome: Outcome = method(job)
    except UserError:
        work.remove_unless_begun()
        raise
    facts = {
        "method": method.name,
        "params": method.params.model_dump(mode="json"),
        "temperature": getattr(method.params, "temperature", None),
        "order": getattr(method.params, "order", None),
    }
    selection = outcome.save(folder, facts)
    work.remove()
    return selection


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
        means = Means(folder / "work", engine or Local())
        return curate(method, source, folder, means).table(folder).kept


def _key(method: Method, source: Source) -> str:
    params = method.params.model_dump(mode="json")
    facts = [LAYOUT, method.name, params, source.seed, source.shards.fingerprint]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    if source.classes is not None:
        digest.update(np.ascontiguousarray(source.classes, np.int64).tobytes())
    return digest.hexdigest()
