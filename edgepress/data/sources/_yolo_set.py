"""What describes a YOLO set: data.yaml, CVAT's obj.data, or the classes.txt of Label Studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepress.data.picture import UnusableError
from edgepress.data.sources._lines import lines
from edgepress.data.sources._pictures import Pictures, below, endings, plain, split_of
from edgepress.data.sources._yolo_labels import Keypoints
from edgepress.errors import UserError
from edgepress.params import read_yaml
from edgepress.records.manifest import SPLITS, Split

_KEY = "ingest.source.description"
_FILES = ("data.yaml", "dataset.yaml", "obj.data", "classes.txt")


@dataclass(frozen=True)
class YoloSet:
    """Names of the classes by number, and where each split's pictures are said to be."""

    file: Path
    names: dict[int, str]
    keypoints: Keypoints | None = None
    splits: dict[Split, tuple[str, ...]] | None = None
    """Folders and lists of each split as the file calls them; None takes every picture."""
    read: tuple[str, ...] = ()
    """Further files that were read."""
    base: str = ""
    """What the paths are relative to, in the words of the file."""

    @classmethod
    def open(cls, root: Path, description: str | None) -> YoloSet:
        """Read the file that describes a set; one that cannot be used is a UserError."""
        path = _find(root) if description is None else below(root, description, _KEY)
        if path.suffix in (".yaml", ".yml"):
            return _of_yaml(path)
        if path.suffix == ".data":
            return _of_darknet(root, path)
        return cls(path, _named(path))


@dataclass
class Shares:
    """Pictures of the splits, in order, and what was said that is not there."""

    pictures: list[tuple[str, Split | None]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Place -> why there is no picture."""
    empty: list[str] = field(default_factory=list)
    """Splits whose folder or list is not there."""
    lists: list[str] = field(default_factory=list)
    """Lists of pictures that were read."""


def shares(described: YoloSet, pictures: Pictures) -> Shares:
    """Return the pictures of each split, in the order of the splits."""
    found = Shares()
    if described.splits is None:
        found.pictures = [(place, split_of(place)) for place in pictures]
        return found
    for split, sources in described.splits.items():
        for source in sources:
            place = _resolved(described, pictures.root, source)
            if place is None and split == "train":
                raise UserError(
                    f"{described.file}: train: {source}: no such folder or list below "
                    f"{pictures.root}; set ingest.source.path to the folder that holds it"
                )
            if place is None:
                found.empty.append(split)
            elif (pictures.root / place).is_dir():
                found.pictures += [(each, split) for each in pictures if _lies_in(each, place)]
            else:
                _listed(found, pictures, place, split)
    return found


def _listed(found: Shares, pictures: Pictures, place: str, split: Split) -> None:
    """Add the pictures of a text file of paths, which are relative to it or end with a place."""
    found.lists.append(place)
    base = place.rpartition("/")[0]
    try:
        names = [plain(text) for _, text in lines(pictures.root / place)]
    except UnusableError as error:
        raise UserError(f"{pictures.root / place}: {error}; write a path a line") from None
    for name in names:
        try:
            picture = pictures.behind(f"{base}/{name}")
        except UnusableError as error:
            picture = name
            found.missing[picture] = str(error)
        found.pictures.append((picture, split))


def _resolved(described: YoloSet, root: Path, source: str) -> str | None:
    """Return where a path leads beside the description or else in the set, None if nowhere.

    Folders before it may be another machine's, and are dropped one by one; so are folders in it if
    it is absolute or leads to a file.
    """
    words = f"{described.base}/{source}"
    least = 1 if source.startswith("/") or source.endswith((".txt", ".names")) else _depth(source)
    beside = described.file.parent.relative_to(root).as_posix()
    for base in dict.fromkeys((beside, ".")):
        for place in endings(words):
            found = plain(f"{base}/{place}")
            if _depth(place) >= least and (root / found).exists():
                return found
    return None if least else plain(beside)


def _depth(path: str) -> int:
    return len([part for part in plain(path).split("/") if part not in ("", "..")])


def _lies_in(place: str, folder: str) -> bool:
    return not folder or place.startswith(f"{folder}/")


def _find(root: Path) -> Path:
    for name in _FILES:
        if (root / name).is_file():
            return root / name
    found = sorted(path for path in root.iterdir() if path.suffix in (".yaml", ".yml"))
    if len(found) == 1:
        return found[0]
    there = f"holds {', '.join(path.name for path in found[:4])}" if found else "holds none"
    raise UserError(
        f"{root}: expected {', '.join(_FILES[:-1])} or {_FILES[-1]} to describe the set, {there}; "
        f"name it in {_KEY}"
    )


def _of_yaml(path: Path) -> YoloSet:
    tree = read_yaml(path)
    splits: dict[Split, tuple[str, ...]] = {}
    for split in SPLITS:
        said = tree.get(split) or (tree.get("valid") if split == "val" else None)
        sources = tuple(said) if isinstance(said, list) else (said,) if said else ()
        if not all(isinstance(each, str) for each in sources):
            raise UserError(f"{path}: {split}: expected a path or a list of them, got {said!r}")
        if sources:
            splits[split] = sources
    if "train" not in splits:
        raise UserError(f"{path}: train: missing; name the folder or list of its pictures")
    base = tree.get("path")
    return YoloSet(
        path,
        _names(tree.get("names"), path),
        _keypoints(tree.get("kpt_shape"), path),
        splits,
        base=base if isinstance(base, str) else "",
    )


def _names(said: Any, path: Path) -> dict[int, str]:
    pairs = dict(enumerate(said)) if isinstance(said, list) else said
    if not isinstance(pairs, Mapping) or not pairs:
        raise UserError(f"{path}: names: expected a list, or numbers with names, got {said!r:.60}")
    found: dict[int, str] = {}
    for number, name in pairs.items():
        if type(number) is str and number.isascii() and number.isdigit():
            number = int(number)
        if type(number) is not int or number < 0:
            raise UserError(f"{path}: names: {number!r} is no number of a class, from 0 on")
        if type(name) not in (str, int, float) or not str(name).strip():
            raise UserError(f"{path}: names: {number} is {name!r}; write it in quotes")
        found[number] = str(name).strip()
    for number, name in found.items():
        if other := [each for each in found if each < number and found[each] == name]:
            raise UserError(f"{path}: names: {other[0]} and {number} are both {name!r}; rename one")
    return dict(sorted(found.items()))


def _keypoints(said: Any, path: Path) -> Keypoints | None:
    if said is None:
        return None
    whole = isinstance(said, list) and len(said) == 2 and all(type(each) is int for each in said)
    if not whole or said[0] < 1 or said[1] not in (2, 3):
        raise UserError(f"{path}: kpt_shape: expected [points, 2] or [points, 3], got {said!r}")
    return (said[0], said[1])


def _of_darknet(root: Path, path: Path) -> YoloSet:
    """Read `key = value` lines: the names' file, and a list of pictures for each split."""
    said = dict(_pairs(path))
    bare = YoloSet(path, {})
    place = _resolved(bare, root, said.get("names", "obj.names"))
    if place is None:
        raise UserError(f"{path}: names: {said.get('names', 'obj.names')}: no such file; add it")
    lists = {"train": said.get("train"), "val": said.get("valid"), "test": said.get("test")}
    splits: dict[Split, tuple[str, ...]] = {
        split: (source,) for split in SPLITS if (source := lists[split])
    }
    if "train" not in splits:
        raise UserError(f"{path}: train: missing; name the list of its pictures")
    return YoloSet(path, _named(root / place), splits=splits, read=(place,))


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for _, text in _readable(path):
        key, _, value = text.partition("=")
        yield key.strip(), value.strip()


def _named(path: Path) -> dict[int, str]:
    """Return the names of a file with one on each line."""
    return _names([text for _, text in _readable(path)], path)


def _readable(path: Path) -> list[tuple[int, str]]:
    try:
        return list(lines(path))
    except UnusableError as error:
        raise UserError(f"{path}: cannot be read: {error}; name another file in {_KEY}") from None
