"""WebDataset shards: plain tar files read in place, each image by its byte range.

https://github.com/webdataset/webdataset: members that share a
name up to the first dot are one sample.
"""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._names import shards
from edgepress.errors import UserError
from edgepress.params import Config

_IMAGES = frozenset(["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm"])
_MAX_LABEL = 2**20


class Params(Config):
    """Which shards, and where a sample keeps its label."""

    method: Literal["webdataset"]
    path: str
    """One .tar file, or a folder of them; names starting with train, val or test tell the split."""
    label: str = Field(pattern=r"^([a-z0-9_]+|json\.[A-Za-z0-9_]+)$")
    """Extension of the text member with the label (`cls`), or `json.<field>` of a JSON member."""


@dataclass
class _Sample:
    key: str
    images: list[tuple[int, int]]
    label: str | None


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
            for sample in _samples(file, params.label):
                offset, length = sample.images[0] if sample.images else (None, None)
                yield Entry(
                    id=f"{shard}/{sample.key}",
                    path=file.as_posix(),
                    label=labels.get(sample.label or "", -1),
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


def _problem(sample: _Sample) -> str | None:
    if not sample.label:
        return "no label: the sample has no label member"
    if len(sample.images) != 1:
        return f"no image: the sample has {len(sample.images)} image members, expected one"
    return None


def _classes(files: list[Path], label: str) -> tuple[str, ...]:
    found = {sample.label for file in files for sample in _samples(file, label)}
    names = sorted(name for name in found if name)
    return tuple(sorted(names, key=int) if all(map(str.isdecimal, names)) else names)


def _samples(file: Path, label: str) -> Iterator[_Sample]:
    """Yield a shard's samples in order; a compressed or damaged shard is a UserError."""
    try:
        with tarfile.open(file, "r:") as shard:
            members = (member for member in shard if member.isreg() and _visible(member.name))
            for key, group in itertools.groupby(members, lambda member: _key(member.name)):
                yield _sample(shard, key, list(group), label)
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{file}: cannot be read as a plain tar: {error}; fetch it anew") from None


def _sample(
    shard: tarfile.TarFile, key: str, members: list[tarfile.TarInfo], label: str
) -> _Sample:
    extension, _, field = label.partition(".")
    sample = _Sample(key, [], None)
    for member in members:
        kind = Path(member.name).name.partition(".")[2].lower()
        if kind == extension:
            sample.label = _label(shard, member, field)
        elif kind.rpartition(".")[2] in _IMAGES:
            sample.images.append((member.offset_data, member.size))
    return sample


def _label(shard: tarfile.TarFile, member: tarfile.TarInfo, field: str) -> str | None:
    file = shard.extractfile(member)
    if file is None or member.size > _MAX_LABEL:
        return None
    try:
        text = file.read().decode("utf-8").strip()
        if not field:
            return text or None
        value = json.loads(text)[field]
    except (ValueError, KeyError, TypeError):
        return None
    return str(value) if isinstance(value, str | int) else None


def _key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}{base.partition('.')[0]}"


def _visible(name: str) -> bool:
    return not name.rpartition("/")[2].startswith(".")
