"""Samples of a WebDataset shard: members of a plain tar that share a name up to the first dot."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edgepress.data.listing import NOT_UTF8
from edgepress.data.picture import UnusableError
from edgepress.data.walk import SUFFIXES, decodable, printable
from edgepress.errors import UserError

_MAX_LABEL = 2**20


@dataclass
class Sample:
    """One sample: its name, the byte ranges of its images, and its label where one was found."""

    key: str
    """UTF-8, whatever the tar holds."""
    images: list[tuple[int, int]]
    """(offset, length) in the tar."""
    members: list[str]
    """What the members are called behind the key."""
    label: str | None = None
    label_problem: str | None = None
    """Why there is no label."""
    problem: str | None = None
    """Why the sample cannot be used, whatever its label."""


class LabelMember:
    """Where samples keep their label: a text member, or a field of a JSON member."""

    def __init__(self, name: str) -> None:
        """Take `cls`, `outputs.txt`, `json.<field>` or `json.<field>.<field>`."""
        self.name = name
        kind, _, rest = name.partition(".")
        self.member = kind.lower() if kind.lower() == "json" and rest else name.lower()
        self.fields = rest.split(".") if self.member == "json" and rest else []

    def read(self, data: bytes) -> str:
        """Return the label's text; UnusableError says what stands there instead."""
        try:
            text = data.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise UnusableError(f"no label: {self.member} is not UTF-8 text") from None
        if not self.fields:
            if not text:
                raise UnusableError(f"no label: {self.member} is empty")
            return text
        try:
            value: Any = json.loads(text)
        except ValueError:
            raise UnusableError(f"no label: {self.member} is not JSON") from None
        for field in self.fields:
            if not isinstance(value, dict) or field not in value:
                known = ", ".join(value) if isinstance(value, dict) else repr(value)[:40]
                raise UnusableError(f"no label: {self.name} is not there; there is {known}")
            value = value[field]
        return self._text(value)

    def _text(self, value: Any) -> str:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise UnusableError(
            f"no label: {self.name} is {json.dumps(value)[:40]}, a {type(value).__name__}; "
            "expected text or a whole number"
        )


def samples(file: Path, label: LabelMember | None = None) -> Iterator[Sample]:
    """Yield a shard's samples in order, with their labels if it is said where those are.

    A sample without exactly one image, one whose name came before and one whose name is not UTF-8
    have a `problem`. A compressed or damaged shard is an UnusableError, after the samples before
    the damage; one that cannot be opened is a UserError.
    """
    seen: set[str] = set()
    try:
        with tarfile.open(file, "r:") as shard:
            for sample in _samples(shard, label):
                sample.problem = _problem(sample, seen)
                if sample.problem is None:
                    seen.add(sample.key)
                sample.key = printable(sample.key)
                yield sample
    except tarfile.TarError as error:
        raise UnusableError(
            f"{file}: cannot be read as a plain tar: {error}; fetch it anew"
        ) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}; fetch it anew") from None


def _problem(sample: Sample, seen: set[str]) -> str | None:
    if not decodable(sample.key):
        return NOT_UTF8
    if len(sample.images) != 1:
        return f"no image: the sample has {len(sample.images)} image members, expected one"
    if sample.key in seen:
        return "repeated name: an earlier sample of the tar has it; rename its members"
    return None


def _samples(shard: tarfile.TarFile, label: LabelMember | None) -> Iterator[Sample]:
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


def _sample(
    shard: tarfile.TarFile, key: str, members: list[tarfile.TarInfo], label: LabelMember | None
) -> Sample:
    kinds = [PurePosixPath(member.name).name.partition(".")[2] for member in members]
    sample = Sample(key, [], [printable(kind) for kind in kinds])
    if label is not None:
        sample.label_problem = f"no label: the sample has no {label.member} member"
    for member, kind in zip(members, map(str.lower, kinds), strict=True):
        if label is not None and kind == label.member:
            _take_label(sample, shard, member, label)
        elif kind.rpartition(".")[2] in SUFFIXES:
            sample.images.append((member.offset_data, member.size))
    return sample


def _take_label(
    sample: Sample, shard: tarfile.TarFile, member: tarfile.TarInfo, label: LabelMember
) -> None:
    file = shard.extractfile(member)
    if file is None or member.size > _MAX_LABEL:
        sample.label_problem = f"no label: {label.member} is over {_MAX_LABEL:,} bytes"
        return
    try:
        sample.label, sample.label_problem = label.read(file.read()), None
    except UnusableError as error:
        sample.label_problem = str(error)


def _key(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}{base.partition('.')[0]}"


def _visible(name: str) -> bool:
    return not name.rpartition("/")[2].startswith(".")
