"""Images decoded once for all stages, in memory maps, where the disk has room for them.

`EDGEPRESS_CACHE` says which. It changes no result, so it does not stand in params.yaml.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import PIL

from edgepress.data.images import ImageSet
from edgepress.data.memory_map import given_up, mapped
from edgepress.errors import UserError, nearest
from edgepress.progress import Progress
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from stages.places import DECODED
from stages.stage import Stage

CACHE = "EDGEPRESS_CACHE"
MODES = ["auto", "memory_map", "none"]
SHARE = 0.5
"""Of the disk's free space that `auto` takes at most for the images of one split."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PIXELS = "pixels"
"""Name of the images among the arrays of a map."""


@dataclass(frozen=True)
class Wanted:
    """The images of one split, and what their labels mean, if anybody asks."""

    split: str
    images: ImageSet
    task: Task | None = None

    def truths(self, spec: InputSpec, start: int = 0) -> Iterator[Arrays]:
        """Yield the labels from an image on, arrays [1, ...]; nothing in them without a task."""
        rest = self.images.take(range(start, len(self.images))) if start else self.images
        return rest.truths(self.task.labels, spec) if self.task else ({} for _ in rest.ids)


@dataclass(frozen=True)
class Decoded:
    """Pixels uint8 [N, H, W, C] and truths [N, ...] of a split; None where nothing is kept."""

    key: str
    """A hash of what they are made from."""
    arrays: Arrays | None

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The images; only where they are kept."""
        assert self.arrays is not None
        return self.arrays[PIXELS]

    @property
    def truth(self) -> Arrays:
        """The truths; only where they are kept."""
        assert self.arrays is not None
        return {name: each for name, each in self.arrays.items() if name != PIXELS}


def decoded(stage: Stage, wanted: Wanted, spec: InputSpec, progress: Progress) -> Decoded:
    """Return a split's images as `spec` prepares them, decoded now unless a stage did before.

    `memory_map` decodes everything onto the disk of .edgepress, `none` nothing, and `auto` what
    leaves half of that disk's free space; where it fills all the same, `auto` goes on as `none`.
    """
    mode, key = _mode(), _key(stage, wanted, spec)
    folder = DECODED / f"{wanted.split}-{spec.height}x{spec.width}x{spec.channels}-{key[:16]}"
    if mode == "none" or (
        mode == "auto" and not folder.is_dir() and not _fits(stage, wanted, spec)
    ):
        return Decoded(key, None)
    rows = partial(_rows, wanted, spec, progress)
    try:
        return Decoded(key, mapped(folder, len(wanted.images), rows))
    except OSError as error:
        if error.errno not in _FULL:
            raise
    given_up(folder)
    why = f"the disk took less than its {size(wanted, spec) / 1e6:,.0f} MB"
    if mode == "memory_map":
        raise UserError(f"{folder}: {why}; make room, or set {CACHE}=none to do without a map")
    _say(stage, wanted, why)
    return Decoded(key, None)


def shared(stage: Stage, wanted: Wanted, spec: InputSpec, progress: Progress) -> ImageSet:
    """Return a split's images, whose pixels for `spec` are read from the map if there is one.

    Those that are answered by parts are never looked at whole, so that no map is made of them.
    """
    if wanted.task is not None and wanted.task.parts is not None:
        return wanted.images
    found = decoded(stage, wanted, spec, progress)
    return wanted.images if found.arrays is None else wanted.images.mapped(found.pixels, spec)


def size(wanted: Wanted, spec: InputSpec) -> int:
    """Return the bytes that all pixels and truths take, by those of the first item."""
    truth = next(wanted.truths(spec))
    one = spec.height * spec.width * spec.channels + sum(each.nbytes for each in truth.values())
    return one * len(wanted.images)


def _mode() -> str:
    mode = os.environ.get(CACHE) or "auto"
    if mode not in MODES:
        raise UserError(f"{CACHE}: {mode!r} is not one of {', '.join(MODES)}{nearest(mode, MODES)}")
    return mode


def _key(stage: Stage, wanted: Wanted, spec: InputSpec) -> str:
    """Return a hash of all that pixels and truths depend on: files, labels, input, task, code."""
    tree = stage.execution().tree
    task = wanted.task and wanted.task.entry
    rules = [f"edgepress.tasks.{task['method']}.labels"] if task else []
    code = tree.closure(["edgepress.data.images", *rules])
    parts = [task, spec.model_dump(mode="json"), wanted.images.classes, PIL.__version__]
    shown = wanted.images.digest(labels=task is not None)
    text = json.dumps([*parts, tree.digest(code), shown], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _fits(stage: Stage, wanted: Wanted, spec: InputSpec) -> bool:
    DECODED.mkdir(parents=True, exist_ok=True)
    needed, free = size(wanted, spec), shutil.disk_usage(DECODED).free
    if needed <= SHARE * free:
        return True
    _say(stage, wanted, f"{needed / 1e6:,.0f} MB are more than half of the {free / 1e6:,.0f} free")
    return False


def _say(stage: Stage, wanted: Wanted, why: str) -> None:
    sys.stderr.write(
        f"{stage.title}: no memory map of the {wanted.split} images in {DECODED}: {why}; "
        "they are decoded anew each time\n"
    )


def _rows(wanted: Wanted, spec: InputSpec, progress: Progress, start: int) -> Iterator[Arrays]:
    count = len(wanted.images)
    what = f"decoding {wanted.split} images, {size(wanted, spec) / 1e6:,.0f} MB, to {DECODED}"
    rest = wanted.images.take(range(start, count)) if start else wanted.images
    both = zip(rest.decoded(spec), wanted.truths(spec, start), strict=True)
    for done, (image, truth) in enumerate(both, start):
        progress(what, done, count)
        yield {PIXELS: image, **{name: values[0] for name, values in truth.items()}}
    progress(what, count, count)
