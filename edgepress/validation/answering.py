"""Answering: an export run on the test items one after the other, its answers kept, decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from edgepress.progress import Progress
from edgepress.records.exported import Exported
from edgepress.records.reference import OpenReference
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.session import Session
from edgepress.tasks.parts import Parted
from edgepress.tasks.task import joined
from edgepress.validation.watch import Call


class BrokenError(Exception):
    """The export's own fault: its files, its loading or its running."""


@dataclass(frozen=True)
class Sample:
    """What is timed: an input, run as often as the item of most parts has them."""

    one: Tensors
    runs: int

    def on(self, session: Session) -> Call:
        """Return what runs a session for one item."""
        run = partial(session.run, self.one)
        if self.runs == 1:
            return run

        def every() -> None:
            for _ in range(self.runs):
                run()

        return every


class Answering:
    """Decoded answers of the items so far, raw outputs of those in the reference's sample."""

    def __init__(
        self,
        session: Session,
        exported: Exported,
        reference: OpenReference,
        decode: Callable[[Tensors], Arrays],
        progress: Progress,
    ) -> None:
        """Run `session` for the items of `reference`, in its order."""
        self._session, self._decode, self._progress = session, decode, progress
        self._items = len(reference.ids)
        self._kept, self._names = set(reference.rows), list(reference.raw)
        self._shapes = {port.tensor.name: port.tensor.shape for port in exported.part.outputs}
        self._shapes |= {name: (1, *held.shape[1:]) for name, held in reference.raw.items()}
        self._answers: list[Arrays] = []
        self._raw: list[Arrays] = []
        self.spoilt: set[str] = set()
        """Outputs that were not finite for some item, in the sample or not."""
        self._first: Tensors | None = None
        self._most = 1

    def add(self, batch: Tensors | Parted) -> None:
        """Answer what a batch holds: items name -> [n, ...], or the parts of one."""
        if isinstance(batch, Parted):
            parts = (one for some in batch.batches for one in _each(some))
            decoded = self._decoded(parts, batch.kept)
            self._most = max(self._most, len(decoded))
            self._answers.append(batch.merged(joined(decoded)))
            return
        for one in _each(batch):
            self._answers.append(self._decoded([one], 0)[0])

    def whole(self) -> tuple[Arrays, Arrays]:
        """Return the answers to all items and the raw outputs of the sample."""
        if len(self._answers) < self._items:
            raise ValueError(f"{len(self._answers)} items for the reference's {self._items}")
        return joined(self._answers), joined(self._raw)

    @property
    def sample(self) -> Sample:
        """What was run first, as often as any item asked for."""
        if self._first is None:
            raise ValueError("no items")
        return Sample(self._first, self._most)

    def _decoded(self, parts: Iterable[Tensors], kept: int) -> list[Arrays]:
        """Run the parts of the next item, or the one that it is."""
        done, found = len(self._answers), []
        if done == self._items:
            raise ValueError(f"more items than the reference's {self._items}")
        self._progress("answering test items", done, self._items)
        for place, one in enumerate(parts):
            outputs = self._run(one)
            if done in self._kept and place == kept:
                self._raw.append({name: outputs[name] for name in self._names})
            self.spoilt |= {name for name in self._names if not np.isfinite(outputs[name]).all()}
            found.append(self._decode(outputs))
        return found

    def _run(self, one: Tensors) -> Arrays:
        self._first = one if self._first is None else self._first
        try:
            outputs = self._session.run(one)
        except Exception as error:
            raise BrokenError(f"does not run: {type(error).__name__}: {error}") from error
        for name, expected in self._shapes.items():
            shape = outputs[name].shape if name in outputs else None
            if shape != expected:
                raise BrokenError(f"answers {name} with shape {shape} instead of {expected}")
        return outputs


def _each(batch: Tensors) -> Iterator[Tensors]:
    """Yield what a batch holds one by one, [1, ...] each."""
    for index in range(len(next(iter(batch.values())))):
        yield {
            name: np.ascontiguousarray(values[index : index + 1]) for name, values in batch.items()
        }
