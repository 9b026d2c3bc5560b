"""Pace: how fast an epoch went and where its time went, as one line that a person reads.

Nothing here waits for the device: an epoch ends with its loss being read, so that its time is
whole, and waiting for images is the host's time in any case.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from edgepress.progress import in_words
from edgepress.training.examples import Batch

_PLAIN = ("epoch", "loss", "learning_rate")


class Pace:
    """A clock for the epochs of one run in this process."""

    def __init__(self, epochs: int) -> None:
        """Start with the first of `epochs` that is still to be done."""
        self._epochs = epochs
        self._begun = self._first = time.monotonic()
        self._waited = self._judged = 0.0
        self._images = self._done = 0

    def loaded(self, batches: Iterator[Batch], images: int) -> Iterator[Batch]:
        """Yield batches as they come, counting the images of a step and the seconds until then."""
        while True:
            asked = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self._waited += time.monotonic() - asked
            self._images += images
            yield batch

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Count the seconds of the block as those of looking at val."""
        begun = time.monotonic()
        yield
        self._judged += time.monotonic() - begun

    def epoch(self, line: Mapping[str, float]) -> str:
        """End an epoch: say what came of it, how fast it went, and how long all the rest takes."""
        now = time.monotonic()
        whole = max(now - self._begun, 1e-9)
        self._done += 1
        left = self._epochs - int(line["epoch"])
        rate = self._images / max(whole - self._judged, 1e-9)
        parts = [
            f"epoch {line['epoch']:g} of {self._epochs}: loss {line['loss']:.4g}",
            *(f"{k.replace('_', ' ')} {v:.4g}" for k, v in line.items() if k not in _PLAIN),
            f"learning rate {line['learning_rate']:.3g}",
            f"{rate:,.0f} images/s",
            _shares(self._waited / whole, self._judged / whole),
            _memory(),
        ]
        if left > 0:
            parts.append(f"about {in_words((now - self._first) / self._done * left)} left")
        self._begun, self._waited, self._judged, self._images = now, 0.0, 0.0, 0
        return ", ".join(parts)


def _shares(waited: float, judged: float) -> str:
    compute = max(0.0, 1 - waited - judged)
    return f"load {waited:.0%} compute {compute:.0%} judge {judged:.0%}"


def _memory() -> str:
    """Return the peak of this process, and of the GPU where there is one."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said = f"memory {peak:,.0f} MB"
    if torch.cuda.is_available():
        said += f" and {torch.cuda.max_memory_allocated() / 1e6:,.0f} MB of the GPU"
    return said
