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
from edgepress.data.tar_samples import Sample, samples
from edgepress.errors import UserError
from edgepress.params import Config


class Params(Config):
    """Which shards, and where a sample keeps its label."""

    method: Literal["webdataset"]
    path: str
    """One .tar file, or a folder of them; names starting with train, val or test tell the split."""
    label: str = Field(pattern=r"^([a-z0-9_]+|json\.[A-Za-z0-9_]+)$")
    """Extension of the text member with the label (`cls`), or `json.<field>` of a JSON member."""


def ingest(folder: Path, *, params: Params) -> Listing:
    """List the samples of all shards; nothing is copied into `folder`."""
    root = Path(params.path)
    files = shards(root, ".tar", "ingest.source.path")
    base = root.parent if root.is_file() else root
    classes = _classes([file for file, _ in files], params.label)
    if not classes:
        raise UserError(f"{root}: no sample has a {params.label} member; set ingest.source.label")

    def entries() -> Iterator[Entry]:
        labels = {name: index for index, name in enumerate(classes)}
        for file, split in files:
            shard = file.relative_to(base).as_posix().removesuffix(".tar")
            for sample in samples(file, params.label):
                offset, length = sample.images[0] if sample.images else (None, None)
                yield Entry(
                    id=f"{shard}/{sample.key}",
                    path=file.as_posix(),
                    label=labels.get(sample.label or ""),
                    split=split,
                    offset=offset,
                    length=length,
                    problem=_problem(sample),
                )

    return Listing(
        source=params.method,
        where=str(root),
        container="tar",
        inside=False,
        classes=classes,
        splits=frozenset(split for _, split in files if split is not None),
        entries=entries,
    )


def _problem(sample: Sample) -> str | None:
    if not sample.label:
        return "no label: the sample has no label member"
    if len(sample.images) != 1:
        return f"no image: the sample has {len(sample.images)} image members, expected one"
    return None


def _classes(files: list[Path], label: str) -> tuple[str, ...]:
    found = {sample.label for file in files for sample in samples(file, label)}
    names = sorted(name for name in found if name)
    return tuple(sorted(names, key=int) if all(map(str.isdecimal, names)) else names)
