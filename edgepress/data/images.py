"""ImageSet: the usable items of a manifest, encoded until they are asked for as pixels."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgepress.data.labels import LabelRules
from edgepress.data.parallel import chunks, ordered
from edgepress.data.picture import UnusableError
from edgepress.data.preprocess import decoded, normalise
from edgepress.data.storage import Storage
from edgepress.data.table import read_table
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

    def __init__(self, folder: Path, manifest: Manifest, rows: list[tuple[Any, ...]]) -> None:
        """Wrap rows of the manifest in `folder`; use `open` instead."""
        self.ids: list[str] = [row[0] for row in rows]
        self.labels: list[Any] = [row[1] for row in rows]
        self.strata = _strata([row[2] for row in rows], manifest)
        """int64 [N]: of the classes an image counts for the rarest; -1 where it counts for none."""
        self.sha256: list[str] = [row[3] for row in rows]
        self.classes: tuple[str, ...] = manifest.classes
        self._places: list[tuple[Any, ...]] = [row[4:8] for row in rows]
        self.crops = [None if row[8] is None else Window(*row[8]) for row in rows]
        """The part of the upright file that each is; None is all of it."""
        self.sizes: list[tuple[int, int]] = [(row[9], row[10]) for row in rows]
        """Width and height of each, upright, in pixels."""
        self.groups = _groups([row[11] for row in rows]) if manifest.groups else None
        """Numbers of the groups that a split never parts; None where there are none."""
        self.container: Container = manifest.container
        """What holds the encoded images."""
        self._manifest = manifest
        self._folder, self._rows = folder, rows
        self._root = folder if manifest.inside else Path()
        self._storage = self._new_storage()
        self._files = Storage("file", self._root)
        self._mapped: tuple[npt.NDArray[np.uint8], InputSpec] | None = None
        self._threads = threading.local()

    @classmethod
    def open(
        cls, folder: Path, split: str | None = None, ids: Collection[str] | None = None
    ) -> Self:
        """Open the usable images of a manifest, of one split or of given ids if wanted.

        An unknown split or id is a UserError, and so is a set without images.
        """
        if split is not None and split not in SPLITS:
            raise UserError(f"{folder}: split {split!r} is not one of {', '.join(SPLITS)}")
        wanted = None if ids is None else set(ids)
        rows = [row for row in _usable(folder, split) if wanted is None or row[0] in wanted]
        if wanted is not None and (unknown := wanted.difference(row[0] for row in rows)):
            raise UserError(f"{folder}: id {min(unknown)!r} is no usable image {_of(split)}")
        if not rows:
            raise UserError(f"{folder}: there is no usable image {_of(split)}")
        return cls(folder, Manifest.read(folder), rows)

    def take(self, rows: Iterable[int]) -> Self:
        """Return some of the images, by their places here."""
        return type(self)(self._folder, self._manifest, [self._rows[row] for row in rows])

    def mapped(self, pixels: npt.NDArray[np.uint8], spec: InputSpec) -> Self:
        """Return the same images; those asked for as `spec` are read from `pixels` [N, H, W, C]."""
        same = type(self)(self._folder, self._manifest, self._rows)
        same._mapped = pixels, spec
        return same

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    def encoded(self, index: int) -> bytes:
        """Return the bytes of an image's whole file; fastest in order, for one thread at a time."""
        return self._checked(index, self._read(self._storage, index))

    def digest(self) -> str:
        """Return a sha256 over what all images show: their files and the parts that they are."""
        shown = zip(self.sha256, self.crops, strict=True)
        text = "\n".join(f"{sha256} {crop and crop.edges}" for sha256, crop in shown)
        return hashlib.sha256(text.encode()).hexdigest()

    def truth(self, rules: LabelRules, spec: InputSpec) -> Arrays:
        """Return the labels of all images as arrays, moved as `spec` moves the pictures."""
        parts = list(self.truths(rules, spec))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def truths(self, rules: LabelRules, spec: InputSpec) -> Iterator[Arrays]:
        """Yield the labels in order as arrays [1, ...], a few ahead of the one asked for."""

        def read(label: Any) -> Arrays:
            return rules.truth(label, spec, self._files.file)

        return ordered(read, self.labels) if self._pointed() else map(read, self.labels)

    def item(
        self, row: int, rules: LabelRules, spec: InputSpec
    ) -> tuple[npt.NDArray[np.uint8], Arrays]:
        """Return one image, uint8 [H, W, C], and its label, arrays [1, ...]; for any thread."""
        if not hasattr(self._threads, "storage"):
            self._threads.storage = self._new_storage()
        (image,) = self._decode([row], self._read(self._threads.storage, row), spec)
        return image, rules.truth(self.labels[row], spec, self._files.file)

    def _pointed(self) -> bool:
        """Tell labels that point to files, which threads read, from those that are values."""
        return isinstance(self.labels[0], dict)

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
        crop = self.crops[index]
        within = windows if crop is None else [each.within(crop) for each in windows]
        yield from decoded(self.encoded(index), spec, within)

    def _stream(self) -> Iterator[tuple[_Rows, bytes]]:
        storage = self._new_storage()
        try:
            for _, each in itertools.groupby(range(len(self)), lambda row: self._places[row]):
                rows = list(each)
                yield rows, self._read(storage, rows[0])
        finally:
            storage.close()

    def _read(self, storage: Storage, index: int) -> bytes:
        try:
            return storage.read(*self._places[index])
        except UnusableError as error:
            raise self._changed(index, str(error)) from None

    def _decode(self, rows: _Rows, data: bytes, spec: InputSpec) -> Iterator[npt.NDArray[np.uint8]]:
        return decoded(self._checked(rows[0], data), spec, [self.crops[row] for row in rows])

    def _checked(self, index: int, data: bytes) -> bytes:
        if hashlib.sha256(data).hexdigest() != self.sha256[index]:
            raise self._changed(index, "its bytes are not those of the manifest")
        return data

    def _changed(self, index: int, reason: str) -> UserError:
        return UserError(f"image {self.ids[index]}: changed since ingest: {reason}; ingest again")

    def _new_storage(self) -> Storage:
        return Storage(self._manifest.container, self._root, self._manifest.column)


def _strata(classes: list[list[int]], manifest: Manifest) -> npt.NDArray[np.int64]:
    totals = [sum(per[name] for per in manifest.counts.values()) for name in manifest.classes]
    rarest = [min(mine, key=lambda index: totals[index], default=-1) for mine in classes]
    return np.array(rarest, np.int64)


def _groups(names: list[str | None]) -> Groups:
    own = [f"{row}" if name is None else f"of {name}" for row, name in enumerate(names)]
    return np.unique(own, return_inverse=True)[1].astype(np.int64)


def _usable(folder: Path, split: str | None) -> Iterator[tuple[Any, ...]]:
    # Lists rather than pyarrow.compute, whose first call imports pandas (2 s).
    grouped = ["group"] if Manifest.read(folder).groups else []
    table = read_table(folder, ["split", "status", *_COLUMNS, *grouped])
    for this, status, *row in zip(*(c.to_pylist() for c in table.columns), strict=True):
        if status == "ok" and (split is None or this == split):
            yield tuple(row)


def _of(split: str | None) -> str:
    return "in the manifest" if split is None else f"in the {split} split"
