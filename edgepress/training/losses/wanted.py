"""Wanted: what a loss holds logits against."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Wanted:
    """The truth of a batch, class by class."""

    shares: Tensor
    """float [N, classes]: 1 where a class is there; of mixed pictures a share of it."""
    exclusive: bool
    """Whether an item has one of the classes, or each may be there or not."""
    smoothing: float = 0.0
    """Share that is spread over all classes, or over yes and no."""

    def smooth(self, shares: Tensor) -> Tensor:
        """Return shares with what is to be spread."""
        if not self.smoothing:
            return shares
        even = 1 / shares.shape[1] if self.exclusive else 0.5
        return shares * (1 - self.smoothing) + self.smoothing * even
