"""Ranks: the workers that train one network together, and what they tell each other.

Each has the same weights and makes the same steps. Of a step's images every worker takes its part;
the gradients of all parts are summed before the step is made (synchronous data parallelism, Li et
al. 2020, https://arxiv.org/abs/2006.15704). Gloo carries them between CPUs, NCCL between GPUs.
"""

from __future__ import annotations

import atexit
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, distributed

from edgepress.errors import PassingError, UserError
from edgepress.records.tensors import Arrays
from edgepress.training import machine
from edgepress.training.engines import environment
from edgepress.training.engines.engine import Workers

LIMIT = timedelta(minutes=30)
"""How long a worker waits for the others, which may have a data set to decode first."""


@dataclass(frozen=True)
class Share:
    """What one worker does of every step."""

    rows: slice
    """Which of a step's images it takes."""
    passes: tuple[int, ...]
    """How many of them go through the network at a time."""
    later: int
    """Passes of the workers after it."""
    total: int
    """Passes of all workers."""


@dataclass(frozen=True)
class Ranks:
    """This process among the workers of a run; alone by default."""

    rank: int = 0
    """From 0; the first scores and writes."""
    count: int = 1

    @classmethod
    def of(cls, engine: object) -> Ranks:
        """Return this process among the workers that an engine's Params ask for, or alone."""
        if not isinstance(engine, Workers):
            return cls()
        if not distributed.is_initialized():
            _join()
        count = distributed.get_world_size()
        if count != engine.workers:
            raise UserError(
                f"training: {count} workers were started, and engine.workers is {engine.workers}; "
                "make the two agree"
            )
        return cls(distributed.get_rank(), count)

    @property
    def first(self) -> bool:
        """Whether this is the worker that scores and writes."""
        return self.rank == 0

    def share(self, images: int, passes: int) -> Share:
        """Return this worker's part of steps of so many images, which it takes in `passes`."""
        total = min(self.count * passes, images // 2)
        if total < self.count:
            raise UserError(
                f"training: {images} images a step leave {self.count} workers fewer than 2 each; "
                "lower engine.workers, or raise batch where there are more images"
            )
        sizes = [len(rows) for rows in np.array_split(np.arange(images), total)]
        before, own, later = self._around(total)
        start = sum(sizes[:before])
        mine = tuple(sizes[before : before + own])
        return Share(slice(start, start + sum(mine)), mine, later, total)

    def part(self, count: int) -> range:
        """Return which of `count` items are this worker's; the first has all where they are few."""
        if count < self.count:
            return range(count if self.first else 0)
        before, own, _ = self._around(count)
        return range(before, before + own)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of all workers' values, of the same shape on each; changes them."""
        if self.count > 1:
            with _together():
                distributed.all_reduce(values)
        return values

    def told(self, value: float) -> float:
        """Return the first worker's number."""
        own = [value if self.first else 0.0]
        return float(self.sum(torch.tensor(own, dtype=torch.float64, device=machine.device())))

    def handed(self, data: bytes) -> bytes:
        """Return the first worker's bytes."""
        if self.count == 1:
            return data
        held = np.frombuffer(data, np.uint8) if self.first else np.zeros(0, np.uint8)
        values = torch.zeros(int(self._sizes(len(held))[0]), dtype=torch.uint8)
        values[: len(held)] = torch.from_numpy(held.copy())
        values = values.to(machine.device())
        with _together():
            distributed.broadcast(values, 0)
        return values.cpu().numpy().tobytes()

    def gathered(self, arrays: Arrays) -> list[Arrays]:
        """Return the arrays of every worker that has any, in order; on the others nothing."""
        if self.count == 1:
            return [arrays]
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        data = torch.frombuffer(bytearray(packed.getvalue()), dtype=torch.uint8)
        sizes = self._sizes(len(data))
        own = torch.zeros(max(sizes), dtype=torch.uint8)
        own[: len(data)] = data
        own = own.to(machine.device())
        parts = [torch.empty_like(own) for _ in sizes] if self.first else None
        with _together():
            distributed.gather(own, parts, 0)
        found = [_unpacked(part[:size]) for part, size in zip(parts or [], sizes, strict=False)]
        return [each for each in found if each]

    def _around(self, count: int) -> tuple[int, int, int]:
        """Return how many of `count` things in a row are before, of, and after this worker."""
        each, more = divmod(count, self.count)
        before = self.rank * each + min(self.rank, more)
        own = each + (self.rank < more)
        return before, own, count - before - own

    def _sizes(self, own: int) -> list[int]:
        sizes = torch.zeros(self.count, dtype=torch.int64, device=machine.device())
        sizes[self.rank] = own
        return [int(size) for size in self.sum(sizes)]


def _join() -> None:
    """Find the other workers as torchrun's environment says."""
    if environment.rank() is None:
        raise UserError(
            "training: this process was not started as a worker of recipe.engine; start it by "
            "torchrun, or by the stage"
        )
    if torch.cuda.is_available():
        own, there = environment.number("LOCAL_RANK"), torch.cuda.device_count()
        if own >= there:
            raise UserError(
                f"training: {own + 1} workers or more on a host with {there} CUDA devices; start "
                "at most one for each"
            )
        torch.cuda.set_device(own)
    try:
        distributed.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo", timeout=LIMIT
        )
    except (RuntimeError, ValueError) as error:
        raise PassingError(
            f"training: the other workers cannot be reached ({_clause(error)}); see that "
            "MASTER_ADDR and MASTER_PORT name a host that answers, and run again"
        ) from None
    atexit.register(distributed.destroy_process_group)


@contextmanager
def _together() -> Iterator[None]:
    """Turn the loss of another worker into one line."""
    try:
        yield
    except RuntimeError as error:
        raise PassingError(
            f"training: another worker was lost ({_clause(error)}); run again, and training goes "
            "on from its last checkpoint"
        ) from None


def _clause(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _unpacked(data: Tensor) -> Arrays:
    with np.load(io.BytesIO(data.cpu().numpy().tobytes()), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
