"""How the images of a run reach its training: from shared memory maps, or read in every epoch."""

from __future__ import annotations

from edgepress.errors import UserError
from edgepress.progress import Progress
from edgepress.records.inputs import InputSpec
from edgepress.training.examples import Dataset, Examples
from edgepress.training.streamed import Streamed
from stages.decoded import CACHE, Wanted, decoded, size
from stages.places import DECODED
from stages.stage import Stage


def examples(stage: Stage, wanted: Wanted, progress: Progress) -> Dataset:
    """Return a split at the size of `input`; what is learnt from it is the same either way."""
    spec = stage.section(InputSpec, "input")
    found = decoded(stage, wanted, spec, progress)
    if found.arrays is not None:
        return Examples(found.pixels, found.truth, spec, found.key)
    if wanted.images.container == "parquet":
        # In any order, each row would cost the reading of its group.
        raise UserError(
            f"{CACHE}: the {wanted.split} images are rows of Parquet, which can only be decoded "
            f"into a memory map, of {size(wanted, spec) / 1e6:,.0f} MB in {DECODED}; make room "
            "there and set memory_map, or keep the images as files or in tar shards"
        )
    progress(f"{wanted.split} images are read anew in every epoch", 0, 0)
    assert wanted.task is not None
    return Streamed(wanted.images, wanted.task.labels, spec, found.key)
