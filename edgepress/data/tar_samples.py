"""Samples of a WebDataset shard: members of a plain tar that share a name up to the first dot."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgepress.data.picture import UnusableError
from edgepress.errors import UserError

IMAGE_SUFFIXES = frozenset(
    ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm"]
)
_MAX_LABEL = 2**20


@dataclass
class Sample:
    """One sample: its name, the byte ranges of its images, and its label where one was found."""

    key: str
    images: list[tuple[int, int]]
    """(offset, length) in the tar."""
    label: str | None


def samples(file: Path, label: str = "") -> Iterator[Sample]:
    """Yield a shard's samples in order, with the text of their member `label` if one is named.

    A compressed or damaged shard is an UnusableError, after the samples before the damage; one
    that cannot be opened is a UserError.
    """
    try:
        with tarfile.open(file, "r:") as shard:
            yield from _samples(shard, label)
    except tarfile.TarError as error:
        raise UnusableError(
            f"{file}: cannot be read as a plain tar: {error}; fetch it anew"
        ) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}; fetch it anew") from None


def _samples(shard: tarfile.TarFile, label: str) -> Iterator[Sample]:
    ended = False

    def members() -> Iterator[tarfile.TarInfo]:
        nonlocal ended
        yield from (member for member in shard if member.isreg() and _visible(member.name))
        ended = True

    for key, group in itertools.groupby(members(), lambda member: _key(member.name)):
        sample = _sample(shard, key, list(group), label)
        if ended and not sample.images:  # the image may lie behind the damage
            _refuse_cut_off(shard)
        yield sample
    _refuse_cut_off(shard)


def _refuse_cut_off(shard: tarfile.TarFile) -> None:
    # tarfile takes a damaged or missing header in the middle for the end, and says nothing.
    if shard.fileobj is None:
        return
    shard.fileobj.seek(shard.offset)
    block = shard.fileobj.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        what = "a damaged header" if block else "the end of the file"
        raise tarfile.ReadError(f"{what} at byte {shard.offset}, where the end mark should be")


def _sample(shard: tarfile.TarFile, key: str, members: list[tarfile.TarInfo], label: str) -> Sample:
    extension, _, field = label.partition(".")
    sample = Sample(key, [], None)
    for member in members:
        kind = Path(member.name).name.partition(".")[2].lower()
        if extension and kind == extension:
            sample.label = _label(shard, member, field)
        elif kind.rpartition(".")[2] in IMAGE_SUFFIXES:
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
