"""`edgepress curate`: choose which rows of embedding files are worth training on."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.commands._outputs import Outputs, inputs, naming, tidy, write_kept, writing
from edgepress.curation.curate import Compute, Curated, Source, curated
from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.methods import Method, module, names, resolve
from edgepress.records.selection import Selection
from edgepress.report.selection_tally import Labels, refuse_strangers
from edgepress.vectors import npy
from edgepress.vectors.shards import Shards
from edgepress.workers.local import Engine, Local

OPTIONS = {
    "keep": "share of the rows to keep, above 0 and up to 1",
    "neighbours": "nearest centroids that d_inter averages over",
    "temperature": "of the softmax over complexities: low favours the complex concepts",
    "floor": "rows every concept keeps at least",
    "class_floor": "rows every class keeps at least; needs --labels",
    "deduplicate": "cosine above which two rows of a concept are the same; none keeps duplicates",
    "duplicate_kept": "which of two duplicates stays: nearest or farthest from the centroid",
    "order": "rows of a concept to keep: hard, easy or random",
    "passes": "Lloyd steps over all rows",
}
DEFAULTS: dict[str, Any] = {
    "concepts": "auto", "neighbours": 20, "temperature": 0.1, "floor": 1, "class_floor": 0,
    "deduplicate": 0.95, "duplicate_kept": "farthest", "order": "hard", "passes": 1,
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("embeddings", nargs="+", type=Path, metavar="EMBEDDINGS",
        help=".npy, .npz or Parquet files, or folders of such shards")  # fmt: skip
    add("--out", type=Path, required=True, help="Parquet file for the rows kept")
    add("--method", default="concept_complexity", help=", ".join(names("curation")))
    add("--clusters", help="number of concepts; auto, the default, goes by the number of rows")
    for name, text in OPTIONS.items():
        default = f" (default {DEFAULTS[name]})" if name in DEFAULTS else ""
        add(f"--{name.replace('_', '-')}", help=text + default)
    add("--labels", type=Path, help=".npy file with a class number per row")
    add("--seed", type=int, default=0)
    add("--selection", type=Path, help="folder for the full record: every row and concept")
    add("--report", type=Path, help="HTML page with the pictures of the selection")
    add("--images", type=Path, help="manifest folder whose images --report is to show, by id")
    add("--scratch", type=Path, help="folder for progress; a killed run goes on from there")
    add("--engine", choices=["local", "ray"], default="local")
    add("--address", help="Ray cluster to join; without it Ray runs on this machine")
    add("--workers", type=int, default=os.cpu_count() or 1, help="workers on this machine")


def run(arguments: argparse.Namespace) -> int:
    """Select, write the rows kept, and print what was decided; returns 0."""
    method = _method(arguments)
    if arguments.seed < 0:
        raise UserError(f"--seed: {arguments.seed} is below 0; give a whole number of 0 or more")
    # Workers of a cluster have working directories of their own.
    paths = [path.resolve() if arguments.engine == "ray" else path for path in arguments.embeddings]
    labels = None if arguments.labels is None else _labels(arguments.labels)
    classes = None if labels is None else labels.codes
    source = Source(Shards.open(paths), arguments.seed, classes)
    images = None if arguments.images is None else ImageSet.open(arguments.images)
    outputs = Outputs(arguments.out, arguments.report, arguments.selection)
    scratch = _scratch(arguments)
    outputs.refuse(inputs(source.shards, arguments.labels, arguments.images), scratch)
    if images is not None and labels is None and outputs.report is not None:
        refuse_strangers(source.shards, images)
    if sys.stderr.isatty():
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    with (
        _room(scratch),
        _engine(arguments) as engine,
        curated(method, source, Compute(scratch / "runs", engine)) as found,
    ):
        selection = _write(found, outputs, labels, images)
    tidy(scratch, own=arguments.scratch is None)
    sys.stdout.write(_summary(selection, outputs.out))
    return 0


def _scratch(arguments: argparse.Namespace) -> Path:
    """Return the absolute folder for progress, by default one beside --out."""
    if arguments.scratch is not None:
        return Path(arguments.scratch).resolve()
    out: Path = arguments.out.absolute()
    return (out.parent / f".{out.name}.scratch").resolve()


def _write(
    found: Curated, outputs: Outputs, labels: Labels | None, images: ImageSet | None
) -> Selection:
    folder = outputs.selection or found.folder / "selection"
    with naming(folder) if outputs.selection else nullcontext():
        selection = found.save(folder)
    if outputs.report is not None:
        from edgepress.report.selection_page import render

        page = render(selection, folder, labels, images)
        with writing(outputs.report) as partial:
            partial.write_text(page, encoding="utf-8")
    write_kept(folder, outputs.out)
    return selection


def _method(arguments: argparse.Namespace) -> Method:
    """Build the method's parameters from the options it knows, and refuse those it does not."""
    given = {name: getattr(arguments, name) for name in OPTIONS}
    given["concepts"] = arguments.clusters
    known = set(module("curation", arguments.method, "--method").Params.model_fields) - {"method"}
    raw: dict[str, Any] = {"method": arguments.method}
    for name, text in given.items():
        flag = "--clusters" if name == "concepts" else f"--{name.replace('_', '-')}"
        if text is not None and name not in known:
            raise UserError(f"{flag}: {arguments.method} has no such parameter; leave it out")
        if name in known and (text is not None or name in DEFAULTS):
            raw[name] = _value(text) if text is not None else DEFAULTS[name]
    if "keep" in known and "keep" not in raw:
        raise UserError("--keep: missing; give the share of rows to keep, for example 0.3")
    return resolve("curation", raw, "command line", "curate")


def _value(text: str) -> Any:
    if text == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _labels(path: Path) -> Labels:
    """Read a class number per row, of any size, as the numbers there are and a code for each."""
    labels = npy.array(path)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise UserError(f"{path}: expected whole numbers of 0 or more, one per row")
    names = np.unique(labels)
    return Labels(np.searchsorted(names, labels).astype(np.int64, copy=False), names)


@contextmanager
def _engine(arguments: argparse.Namespace) -> Iterator[Engine]:
    if arguments.workers < 1:
        raise UserError(f"--workers: {arguments.workers} is below 1")
    if arguments.engine == "local":
        if arguments.address is not None:
            raise UserError(
                "--address: only --engine ray joins a cluster; add it or leave this out"
            )
        yield Local(arguments.workers)
        return
    from edgepress.workers.ray import connected

    with connected(arguments.address, arguments.workers) as cluster:
        yield cluster


@contextmanager
def _room(scratch: Path) -> Iterator[None]:
    """Say where the disk is full: what was done stays, for another try."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"{scratch}: no space left; free some or name another disk by --scratch"
        ) from None


def _summary(selection: Selection, out: Path) -> str:
    concepts = selection.concepts
    duplicates = sum(concept.duplicates for concept in concepts)
    empty = sum(concept.size == 0 for concept in concepts)
    shares = sorted(concept.kept / concept.size for concept in concepts if concept.size)
    lines = [
        f"{selection.method}: kept {selection.budget:,} of {selection.rows:,} rows in {out}",
        f"concepts: {len(concepts)}, {empty} of them empty; duplicates dropped: {duplicates:,}",
        f"kept share per concept: lowest {shares[0]:.3f}, median {shares[len(shares) // 2]:.3f}, "
        f"highest {shares[-1]:.3f}",
    ]
    return "\n".join(lines) + "\n"
