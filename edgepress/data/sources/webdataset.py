"""WebDataset shards: plain tar files read in place, each image by its byte range.

https://github.com/webdataset/webdataset
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._names import shards
from edgepress.data.tar_samples import LabelMember, Sample, samples
from edgepress.data.walk import LeftOut
from edgepress.errors import UserError
from edgepress.params import Config


class Params(Config):
    """Which shards, and where a sample keeps its label."""

    method: Literal["webdataset"]
    path: str
    """One .tar file, or a folder of them; names starting with train, val or test tell the split."""
    label: str = Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")
    """Extension of the text member with the label (`cls`, `outputs.txt`), or `json.<field>`, fields
    of fields joined by dots."""


def ingest(folder: Path, *, params: Params) -> Listing:
    """List the samples of all shards; nothing is copied into `folder`."""
    root, member, left_out = Path(params.path), LabelMember(params.label), LeftOut()
    files = shards(root, ".tar", "ingest.source.path", left_out)
    base = root.parent if root.is_file() else root
    classes = _classes(root, [file for file, _ in files], member)

    def entries() -> Iterator[Entry]:
        labels = {name: index for index, name in enumerate(classes)}
        for file, split in files:
            shard = file.relative_to(base).as_posix()[: -len(".tar")]
            for sample in samples(file, member):
                offset, length = sample.images[0] if sample.images else (None, None)
                yield Entry(
                    id=f"{shard}/{sample.key}",
                    path=file.as_posix(),
                    label=labels.get(sample.label or ""),
                    split=split,
                    offset=offset,
                    length=length,
                    problem=sample.problem or sample.label_problem,
                )

    return Listing(
        source=params.method,
        where=str(root),
        container="tar",
        inside=False,
        classes=classes,
        splits=frozenset(split for _, split in files if split is not None),
        entries=entries,
        left_out=left_out,
    )


def _classes(root: Path, files: list[Path], member: LabelMember) -> tuple[str, ...]:
    """Return the distinct labels; none at all is a UserError that says what was found instead."""
    found: set[str] = set()
    first: Sample | None = None
    for sample in (sample for file in files for sample in samples(file, member)):
        first = first or sample
        if sample.label is not None:
            found.add(sample.label)
    if not found:
        there = "no sample at all"
        if first is not None:
            there = f"{first.key} has {', '.join(first.members)}"
            if member.member in map(str.lower, first.members):
                there = f"{first.key}: {first.label_problem}"
        raise UserError(
            f"{root}: no sample has a label in {member.name}; {there}; set ingest.source.label"
        )
    names = sorted(found)
    return tuple(sorted(names, key=int) if all(map(str.isdecimal, names)) else names)
