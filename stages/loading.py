"""How the images of a run reach its training: from shared memory maps, or read in every epoch."""

from __future__ import annotations

from edgepress.data.row_groups import HELD
from edgepress.errors import UserError
from edgepress.progress import Progress
from edgepress.records.inputs import InputSpec
from edgepress.training.examples import Dataset, Examples
from edgepress.training.streamed import Streamed
from stages.decoded import CACHE, Wanted, decoded
from stages.stage import Stage


def examples(stage: Stage, wanted: Wanted, progress: Progress) -> Dataset:
    """Return a split at the size of `input`; what is learnt from it is the same either way."""
    spec = stage.section(InputSpec, "input")
    found = decoded(stage, wanted, spec, progress)
    if found.arrays is not None:
        stored = wanted.images.stored() if wanted.split == "train" else None
        return Examples(found.pixels, found.truth, spec, found.key, stored)
    _refuse_large_groups(wanted)
    progress(f"{wanted.split} images are read anew in every epoch", 0, 0)
    assert wanted.task is not None
    return Streamed(wanted.images, wanted.task.labels, spec, found.key)


def _refuse_large_groups(wanted: Wanted) -> None:
    """Refuse rows of Parquet of which not even one group may be held."""
    stored = wanted.images.stored()
    if stored is not None and (largest := int(stored.sizes.max())) > HELD:
        raise UserError(
            f"{CACHE}: the {wanted.split} images are rows of Parquet in groups of up to "
            f"{largest / 1e6:,.0f} MB, and {HELD / 1e6:,.0f} are held when they are streamed; "
            "write them in smaller row groups, or set memory_map and make room for it"
        )
