"""Samples: nested random rows of the shards, gathered once into files that are shards too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgepress.curation._select.curate_job import CurateJob
from edgepress.vectors.blocks import scaled
from edgepress.vectors.formats import inspect
from edgepress.vectors.shards import Shards
from edgepress.workers.scratch import Arrays


@dataclass(frozen=True)
class Sample:
    """Parts in files: the first alone is the smallest sample, all together the largest."""

    parts: tuple[Path, ...]

    def upto(self, level: int) -> Shards:
        """Return the sample of that level as shards."""
        return Shards(tuple(inspect(path) for path in self.parts[: level + 1]))


def draw(job: CurateJob, sizes: list[int]) -> Sample:
    """Draw nested samples of the given growing sizes, fewer where the rows do not suffice."""
    sizes = sorted({min(size, job.rows) for size in sizes})
    paths = tuple(job.work.folder / f"sample-{level}.npy" for level in range(len(sizes)))

    def gather() -> Arrays:
        rng = np.random.default_rng([job.seed, 0])
        rows = rng.choice(job.rows, sizes[-1], replace=False)
        for path, first, last in zip(paths, [0, *sizes], sizes, strict=False):
            _gather(job.shards, np.sort(rows[first:last]), path)
        return {"sizes": np.array(sizes)}

    job.work.step("sample", gather)
    return Sample(paths)


def _gather(shards: Shards, rows: npt.NDArray[np.int64], path: Path) -> None:
    """Copy the given rows, ascending, into one .npy file, reading forward only."""
    shape = (len(rows), shards.width)
    with path.open("wb") as file:
        header = {"descr": np.dtype(shards.dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        done = 0
        for run in shards.take(rows):
            numbers = rows[done : done + len(run)]
            # Bad rows are refused here, where the user's own file can still be named.
            scaled(run, lambda row, numbers=numbers: shards.where(int(numbers[row])))  # type: ignore[misc]
            file.write(np.ascontiguousarray(run).tobytes())
            done += len(run)
