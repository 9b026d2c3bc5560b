"""Subset: the rows of an embeddings folder that belong to given ids, as shards of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgepress.errors import UserError
from edgepress.records.embeddings import Embeddings
from edgepress.vectors.formats import Halves
from edgepress.vectors.shards import Shards


def subset(folder: Path, wanted: Sequence[str], scratch: Path) -> tuple[Shards, list[str]]:
    """Return the vectors of the ids `wanted` and those ids, both in the order of `folder`.

    Where the folder holds nothing else it is used as it lies; otherwise the rows are copied below
    `scratch`, once for the same folder and ids. An id without a vector is a UserError.
    """
    opened = Embeddings.open(folder)
    asked = set(wanted)
    rows = np.array([row for row, name in enumerate(opened.ids) if name in asked], np.int64)
    names = [opened.ids[row] for row in rows]
    lacking = asked.difference(names)
    if lacking:
        raise UserError(
            f"{folder}: {len(lacking)} of {len(asked)} ids have no vector, the first is "
            f"{min(lacking)!r}; run the embed stage again"
        )
    whole = Shards.open([folder])
    if len(names) == len(opened.ids):
        return whole, names
    text = "\n".join([opened.record.vectors_sha256, *names])
    copy = scratch / hashlib.sha256(text.encode()).hexdigest()[:24]
    if not (copy / Embeddings.file_name).is_file():

        def batches() -> Iterator[Halves]:
            yield from whole.take(rows)

        record = opened.record
        Embeddings.create(
            copy, batches(), names, encoder=record.encoder, encoder_sha256=record.encoder_sha256
        )
    return Shards.open([copy]), names
