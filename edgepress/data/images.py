"""ImageSet: the usable items of a manifest, encoded until they are asked for as pixels."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgepress.data.column import Column
from edgepress.data.columns import BEGINNING, Columns
from edgepress.data.labels import LabelRules
from edgepress.data.parallel import chunks, ordered
from edgepress.data.picture import UnusableError
from edgepress.data.preprocess import decoded, normalise
from edgepress.data.row_groups import RowGroups, Stored
from edgepress.data.storage import Storage
from edgepress.data.window import Window
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import SPLITS, Container, Manifest
from edgepress.records.tensors import Arrays, Groups

_COLUMNS = [
    *("id", "label", "classes", "sha256", "path", "row", "offset", "length", "crop"),
    *("width", "height"),
]
_Rows = list[int]
"""Places of items that are of one image, one after another."""


class ImageSet:
    """Images in manifest order, with ids, labels and hashes; every read checks the sha256.

    An image here is an item: the part that `crops` says of a file, which is read once for all its
    items that come together.
    """

    def __init__(self, folder: Path, table: Columns, rows: npt.NDArray[np.int32]) -> None:
        """Wrap rows of the table of the manifest in `folder`; use `open` instead."""
        manifest = Manifest.read(folder)
        self.classes: tuple[str, ...] = manifest.classes
        self.container: Container = manifest.container
        """What holds the encoded images."""
        self._manifest = manifest
        self._folder, self._table, self._rows = folder, table, rows
        self._root = folder if manifest.inside else Path()
        self._storage = self._new_storage()
        self._files = Storage("file", self._root)
        self._mapped: tuple[npt.NDArray[np.uint8], InputSpec] | None = None
        self._threads = threading.local()
        self._row_groups = RowGroups(self._root, manifest.column or "image")
        self._beginning: Column[bytes] = Column(table.beginnings(), rows)
        self._label: Column[Any] = self._column("label")
        self._crop = Column(table["crop"], rows, lambda crop: crop and Window(*crop))
        begins, rest = table.paths()
        path = Column(rest, rows, lambda each: begins + each)
        self._place = [path, *(self._column(name) for name in ("row", "offset", "length"))]

    @cached_property
    def ids(self) -> list[str]:
        """Names, stable and readable."""
        return list(self._column("id"))

    @cached_property
    def labels(self) -> list[Any]:
        """Values of the task's schema."""
        return list(self._label)

    @cached_property
    def sha256(self) -> list[str]:
        """Of the encoded bytes."""
        return list(self._column("sha256"))

    @cached_property
    def crops(self) -> list[Window | None]:
        """The part of the upright file that each is; None is all of it."""
        return list(self._crop)

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each, upright, in pixels."""
        return list(zip(self._column("width"), self._column("height"), strict=True))

    @cached_property
    def strata(self) -> npt.NDArray[np.int64]:
        """int64 [N]: of the classes an image counts for the rarest; -1 where it counts for none."""
        return _strata(self._column("classes"), self._manifest)

    @cached_property
    def group_names(self) -> list[str | None]:
        """Name of the group of each, None where it is one of its own; empty without groups."""
        return list(self._column("group")) if self._manifest.groups else []

    @cached_property
    def groups(self) -> Groups:
        """Numbers of the groups that a split never parts; None where there are none."""
        return _groups(self._column("group")) if self._manifest.groups else None

    @classmethod
    def open(
        cls, folder: Path, split: str | None = None, ids: Collection[str] | None = None
    ) -> Self:
        """Open the usable images of a manifest, of one split or of given ids if wanted.

        An unknown split or id is a UserError, and so is a set without images.
        """
        if split is not None and split not in SPLITS:
            raise UserError(f"{folder}: split {split!r} is not one of {', '.join(SPLITS)}")
        table, rows = _usable(folder, split)
        if ids is not None:
            wanted = set(ids)
            named: Column[str] = Column(table["id"], rows)
            rows = rows[np.fromiter((name in wanted for name in named), bool, len(rows))]
            if len(rows) < len(wanted):
                unknown = wanted.difference(Column(table["id"], rows))
                raise UserError(f"{folder}: id {min(unknown)!r} is no usable image {_of(split)}")
        if not len(rows):
            raise UserError(f"{folder}: there is no usable image {_of(split)}")
        return cls(folder, table, rows)

    def take(self, rows: Iterable[int]) -> Self:
        """Return some of the images, by their places here."""
        return type(self)(self._folder, self._table, self._rows[np.fromiter(rows, np.int64)])

    def mapped(self, pixels: npt.NDArray[np.uint8], spec: InputSpec) -> Self:
        """Return the same images; those asked for as `spec` are read from `pixels` [N, H, W, C]."""
        same = type(self)(self._folder, self._table, self._rows)
        same._mapped = pixels, spec
        return same

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._rows)

    def encoded(self, index: int) -> bytes:
        """Return the bytes of an image's whole file; fastest in order, for one thread at a time."""
        return self._checked(index, self._read(self._storage, index))

    def digest(self, *, labels: bool = False) -> str:
        """Return a sha256 over the files and parts that all images are, over labels if asked."""
        whole = hashlib.sha256()
        for sha256, crop in zip(self._column("sha256"), self._crop, strict=True):
            whole.update(f"{sha256} {crop and crop.edges}\n".encode())
        for label in self._label if labels else ():
            whole.update(json.dumps(label, sort_keys=True, default=str).encode())
        return whole.hexdigest()

    def truth(self, rules: LabelRules, spec: InputSpec) -> Arrays:
        """Return the labels of all images as arrays, moved as `spec` moves the pictures."""
        parts = list(self.truths(rules, spec))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def truths(self, rules: LabelRules, spec: InputSpec) -> Iterator[Arrays]:
        """Yield the labels in order as arrays [1, ...], a few ahead of the one asked for."""

        def read(label: Any) -> Arrays:
            return rules.truth(label, spec, self._files.file)

        return ordered(read, self._label) if self._pointed() else map(read, self._label)

    def item(
        self, row: int, rules: LabelRules, spec: InputSpec
    ) -> tuple[npt.NDArray[np.uint8], Arrays]:
        """Return one image, uint8 [H, W, C], and its label, arrays [1, ...]; for any thread."""
        (image,) = self._decode([row], self._anywhere(row), spec)
        return image, rules.truth(self._label[row], spec, self._files.file)

    def stored(self) -> Stored | None:
        """Return which images lie in one row group; None where any order reads as fast."""
        if self.container != "parquet":
            return None
        path, row, *_ = self._place
        try:
            return self._row_groups.stored(zip(path, row, strict=True))
        except UnusableError as error:
            raise UserError(f"{self._folder}: its images: {error}") from None

    def _anywhere(self, index: int) -> bytes:
        """Return the bytes of an image's file, in any order, for any thread."""
        if self.container != "parquet":
            if not hasattr(self._threads, "storage"):
                self._threads.storage = self._new_storage()
            return self._read(self._threads.storage, index)
        path, row, *_ = self._place
        try:
            return self._row_groups.read(path[index], row[index])
        except UnusableError as error:
            raise self._changed(index, str(error)) from None

    def _pointed(self) -> bool:
        """Tell labels that point to files, which threads read, from those that are values."""
        return isinstance(self._label[0], dict)

    def pixels(self, spec: InputSpec) -> npt.NDArray[np.uint8]:
        """Return all images as uint8 [N, H, W, C], decoded now unless they are mapped."""
        if self._mapped is not None and self._mapped[1] == spec:
            return self._mapped[0]
        out = np.empty((len(self), spec.height, spec.width, spec.channels), np.uint8)
        for index, image in enumerate(self.decoded(spec)):
            out[index] = image
        return out

    def batches(self, spec: InputSpec, size: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield normalised float32 [<= size, C, H, W] in order, holding about one batch."""
        batch = np.empty((size, spec.height, spec.width, spec.channels), np.uint8)
        filled = 0
        for image in self.decoded(spec):
            batch[filled] = image
            filled += 1
            if filled == size:
                yield normalise(batch, spec)
                filled = 0
        if filled:
            yield normalise(batch[:filled], spec)

    def decoded(self, spec: InputSpec) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the images in order, uint8 [H, W, C], a few ahead of the one asked for."""
        if self._mapped is not None and self._mapped[1] == spec:
            yield from self._mapped[0]
            return

        def decode_all(group: list[tuple[_Rows, bytes]]) -> list[npt.NDArray[np.uint8]]:
            return [image for rows, data in group for image in self._decode(rows, data, spec)]

        for images in ordered(decode_all, chunks(self._stream(), lambda item: len(item[1]))):
            yield from images

    def cut(
        self, index: int, windows: Sequence[Window], spec: InputSpec
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield windows of an image as uint8 [H, W, C], each fitted as whole images are."""
        crop = self._crop[index]
        within = windows if crop is None else [each.within(crop) for each in windows]
        yield from decoded(self.encoded(index), spec, within)

    def _stream(self) -> Iterator[tuple[_Rows, bytes]]:
        storage = self._new_storage()
        try:
            places = enumerate(zip(*self._place, strict=True))
            for _, each in itertools.groupby(places, lambda place: place[1]):
                rows = [row for row, _ in each]
                yield rows, self._read(storage, rows[0])
        finally:
            storage.close()

    def _read(self, storage: Storage, index: int) -> bytes:
        try:
            return storage.read(*(column[index] for column in self._place))
        except UnusableError as error:
            raise self._changed(index, str(error)) from None

    def _decode(self, rows: _Rows, data: bytes, spec: InputSpec) -> Iterator[npt.NDArray[np.uint8]]:
        return decoded(self._checked(rows[0], data), spec, [self._crop[row] for row in rows])

    def _checked(self, index: int, data: bytes) -> bytes:
        if hashlib.sha256(data).digest()[:BEGINNING] != self._beginning[index]:
            raise self._changed(index, "its bytes are not those of the manifest")
        return data

    def _changed(self, index: int, reason: str) -> UserError:
        return UserError(
            f"image {self._column('id')[index]}: changed since ingest: {reason}; "
            "put it back as it was, or ingest again"
        )

    def _new_storage(self) -> Storage:
        return Storage(self._manifest.container, self._root, self._manifest.column)

    def _column(self, name: str) -> Column[Any]:
        return Column(self._table[name], self._rows)


def _strata(classes: Iterable[list[int]], manifest: Manifest) -> npt.NDArray[np.int64]:
    totals = [sum(per[name] for per in manifest.counts.values()) for name in manifest.classes]
    rarest = (min(mine, key=totals.__getitem__, default=-1) for mine in classes)
    return np.fromiter(rarest, np.int64)


def _groups(names: Iterable[str | None]) -> Groups:
    own = [f"{row}" if name is None else f"of {name}" for row, name in enumerate(names)]
    return np.unique(own, return_inverse=True)[1].astype(np.int64)


def _usable(folder: Path, split: str | None) -> tuple[Columns, npt.NDArray[np.int32]]:
    """Return the manifest's table and the places of the usable rows, of a split if wanted."""
    # Lists rather than pyarrow.compute, whose first call imports pandas (2 s).
    grouped = ["group"] if Manifest.read(folder).groups else []
    table = Columns(folder, ["split", "status", *_COLUMNS, *grouped])
    every = np.arange(len(table), dtype=np.int32)
    status: Column[str] = Column(table["status"], every)
    splits: Column[str] = Column(table["split"], every)
    fine = (
        this == "ok" and (split is None or where == split)
        for this, where in zip(status, splits, strict=True)
    )
    return table, every[np.fromiter(fine, bool, len(table))]


def _of(split: str | None) -> str:
    return "in the manifest" if split is None else f"in the {split} split"
