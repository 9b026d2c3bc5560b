"""Draw: the splits of all images, settled once every one was looked at.

A unit is what must not part: a group, or several that copies of one file link. Images that the
source itself puts into val or test stay there; all others of a unit are drawn together, by the
smallest name in it: its groups' names, or the ids of images that have none. So no order of listing
changes a split, and an image that comes or goes moves those of its own unit at most.

A few numbers an image are held, 35 bytes; names are read again from the table when they are needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.data.duplicates import Ints, families, joined
from edgepress.data.inspection import Facts
from edgepress.data.listing import Entry
from edgepress.data.splits import Fractions, bounds, key, position, turn
from edgepress.records.manifest import LEAK, SPLITS, Groups, Split

Names = Iterable[tuple[list[str], list[str | None]]]
"""Ids and names of groups, a stretch of the rows at a time, in their order."""

_Flags = npt.NDArray[np.bool_]
_OWN: dict[Split | None, int] = {None: 0, "train": 0, "val": 1, "test": 2}
"""Place in SPLITS of the split that a source gives; train is what may be drawn from."""


@dataclass(frozen=True)
class Drawn:
    """What was settled, by row."""

    splits: npt.NDArray[np.int8]
    """Place of the split in SPLITS."""
    kept: _Flags
    """False where a split has more images than the limit."""
    groups: Groups | None
    """None where nothing is grouped."""
    largest: int
    """Usable images of the largest unit."""
    named: tuple[Ints, dict[int, str]]
    """Label of each row, and the names of those labels that are groups of look-alikes."""
    leaks: list[_Leak]

    def group(self, row: int) -> str | None:
        """Return the name of the group of look-alikes that the image is in, None where in none."""
        labels, names = self.named
        return names.get(int(labels[row]))

    def leak(self, row: int) -> str | None:
        """Return why the image may not be used in its split, None where it may."""
        for leak in self.leaks:
            if leak.rows[row]:
                return f"{LEAK}: {leak.kind} {leak.seen.names[int(leak.seen.labels[row])]}"
        return None


class Draw:
    """Takes the images one by one, then settles their splits."""

    def __init__(self, brought: frozenset[Split], fractions: Fractions, limit: int | None) -> None:
        """Share out what the source's own splits leave open, at most `limit` images a split."""
        self._brought, self._fractions, self._limit = brought, fractions, limit
        self._bits = None if fractions.group is None else fractions.group.bits
        """None unless what looks alike is grouped."""
        self._keys, self._files, self._looks = array("Q"), array("Q"), array("Q")
        self._own, self._usable, self._alone = array("b"), array("b"), array("b")
        self._turns = array("d")

    def add(self, entry: Entry, name: str | None, facts: Facts) -> None:
        """Take an item of an image with the name of its group; None where it is its own."""
        self._keys.append(key(name or entry.id))
        self._files.append(int((facts.sha256 or "0")[:16], 16))
        self._looks.append(facts.phash or 0)
        self._own.append(_OWN[entry.split])
        self._usable.append(not facts.reason)
        self._alone.append(name is None)
        if self._limit is not None:
            self._turns.append(turn(entry.id))

    def settle(self, names: Callable[[], Names]) -> Drawn:
        """Return the splits; `names` gives those of the rows that were added, again."""
        keys, usable = _numbers(self._keys), _numbers(self._usable).view(np.bool_)
        copies = _first_of(_numbers(self._files), usable)
        groups = self._groups(keys, usable)
        units = joined(groups, [(np.arange(len(keys)), copies)])
        mixed = _Least(units, _differ(keys, units)[units], groups=True)
        leaks = list(self._leaks({"copy of": copies, "group of": groups}, usable))
        _read(names, [mixed, *(leak.seen for leak in leaks)])
        splits = self._splits(keys, mixed)
        return Drawn(
            splits=splits,
            kept=self._within_limit(splits),
            groups=self._counted(groups, usable),
            largest=int(np.bincount(units[usable], minlength=1).max()),
            named=(units, mixed.names if self._bits is not None else {}),
            leaks=leaks,
        )

    def _groups(self, keys: npt.NDArray[np.uint64], usable: _Flags) -> Ints:
        """Return the first row of each image's group."""
        if self._bits is None:
            return _first_of(keys, np.ones(len(keys), np.bool_))
        groups = np.arange(len(keys))
        rows = np.flatnonzero(usable)
        looks = _numbers(self._looks)[rows]
        alike = families(looks, self._bits)
        groups[rows] = rows[np.unique(alike, return_index=True)[1][alike]]
        pictures = _first_of(keys, usable)  # whose items need not look alike
        return joined(groups, [(np.arange(len(keys)), pictures)])

    def _leaks(self, kinds: dict[str, Ints], usable: _Flags) -> Iterator[_Leak]:
        """Find who shares a label with an image that the source puts nearer to the end."""
        if self._fractions.leaks == "keep":
            return
        own = _numbers(self._own)
        for kind, labels in kinds.items():
            last = np.zeros(len(own), np.int8)
            np.maximum.at(last, labels[usable], own[usable])
            leaking = usable & (last[labels] > own)
            seen = np.zeros(len(own), np.bool_)
            seen[labels[leaking]] = True
            witness = usable & seen[labels] & (last[labels] == own)
            yield _Leak(kind, leaking, _Least(labels, witness, splits=own))

    def _splits(self, keys: npt.NDArray[np.uint64], mixed: _Least) -> npt.NDArray[np.int8]:
        number = (keys >> np.uint64(8)) / 2**56
        of_unit = {unit: position(name) for unit, name in mixed.names.items()}
        number[mixed.wanted] = [of_unit[unit] for unit in mixed.labels[mixed.wanted].tolist()]
        test, val = bounds(self._brought, self._fractions)
        drawn = np.where(number < test, 2, np.where(number < val, 1, 0))
        own = _numbers(self._own)
        return np.where(own > 0, own, drawn).astype(np.int8)

    def _within_limit(self, splits: npt.NDArray[np.int8]) -> _Flags:
        kept = np.ones(len(splits), np.bool_)
        if self._limit is not None:
            order = np.argsort(_numbers(self._turns), kind="stable")
            for number in range(len(SPLITS)):
                kept[order[splits[order] == number][self._limit :]] = False
        return kept

    def _counted(self, groups: Ints, usable: _Flags) -> Groups | None:
        """Count the groups by their usable images."""
        by = self._fractions.group
        alone = _numbers(self._alone).view(np.bool_)
        if by is None and alone.all():
            return None
        if self._bits is not None:
            alone = np.bincount(groups)[groups] < 2
        sizes = np.bincount(groups[usable & ~alone], minlength=1)
        return Groups(
            by="picture" if by is None else by.by,
            groups=int(np.count_nonzero(sizes)),
            largest=int(sizes.max()),
            alone=int((usable & alone).sum()),
        )


class _Least:
    """The smallest name of the wanted rows of each label; with its split where those are given."""

    def __init__(
        self,
        labels: Ints,
        wanted: _Flags,
        groups: bool = False,
        splits: npt.NDArray[np.int8] | None = None,
    ) -> None:
        self.labels, self.wanted = labels, wanted
        self._groups, self._splits = groups, splits
        self.names: dict[int, str] = {}

    def take(self, start: int, ids: list[str], groups: list[str | None]) -> None:
        for row in np.flatnonzero(self.wanted[start : start + len(ids)]).tolist():
            name = (groups[row] if self._groups else None) or ids[row]
            if self._splits is not None:
                name = f"{name} in {SPLITS[self._splits[start + row]]}"
            label = int(self.labels[start + row])
            self.names[label] = min(name, self.names.get(label, name))


@dataclass(frozen=True)
class _Leak:
    """The rows that leak, and by label what is on the other side."""

    kind: str
    rows: _Flags
    seen: _Least


def _read(names: Callable[[], Names], least: list[_Least]) -> None:
    if not any(each.wanted.any() for each in least):
        return
    start = 0
    for ids, groups in names():
        for each in least:
            each.take(start, ids, groups)
        start += len(ids)


def _first_of(values: npt.NDArray[np.uint64], counted: _Flags) -> Ints:
    """Return for each row the first counted one of its value; for one not counted, itself."""
    first = np.arange(len(values))
    rows = np.flatnonzero(counted)
    _, at, inverse = np.unique(values[rows], return_index=True, return_inverse=True)
    first[rows] = rows[at[inverse]]
    return first


def _differ(keys: npt.NDArray[np.uint64], units: Ints) -> _Flags:
    """Tell, by unit, those whose rows have more than one key."""
    differ = np.zeros(len(units), np.bool_)
    differ[units[keys != keys[units]]] = True
    return differ


def _numbers(column: array[Any]) -> npt.NDArray[Any]:
    """Return a column as an array of its type, not copied."""
    return np.asarray(column)
