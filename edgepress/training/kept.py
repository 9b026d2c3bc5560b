"""Kept: the weights that a run is judged by and ends with - the last, their average, or the best.

The average is exponential, of weights and running statistics alike (Polyak and Juditsky 1992; as
in timm), and forgets faster at first: with min(decay, (1 + step) / (10 + step)) what was drawn at
random is gone after a few dozen steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from edgepress.training.recipe import Recipe

_AVERAGE, _BEST = "average/", "best/"


class Kept:
    """Copies of one network's weights, as a recipe asks for them."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        """Copy nothing, or the weights from which an average starts."""
        self._network, self._recipe = network, recipe
        self.tensors: dict[str, Tensor] = {}
        """What a checkpoint has to keep, by kind and name."""
        if recipe.ema is not None:
            self._copy(_AVERAGE)

    @torch.no_grad()
    def step(self, done: int) -> None:
        """Take the weights after step `done`, counted from 1, into the average."""
        if self._recipe.ema is None:
            return
        decay = min(self._recipe.ema, (1 + done) / (10 + done))
        for name, now in self._network.state_dict().items():
            held = self.tensors[_AVERAGE + name]
            if held.is_floating_point():
                held.lerp_(now, 1 - decay)
            else:
                held.copy_(now)

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Have the network hold the weights that are judged: the average, if there is one."""
        if self._recipe.ema is None:
            yield
            return
        own = {name: now.clone() for name, now in self._network.state_dict().items()}
        self._put(_AVERAGE)
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def judge(self, history: list[dict[str, float]]) -> None:
        """Keep the network's weights of now if the newest epoch is the best."""
        if self._recipe.keep == "best" and best(history) == len(history):
            self._copy(_BEST)

    def ends(self, history: list[dict[str, float]]) -> bool:
        """Tell whether the run is to stop: its epochs are over, or its patience is."""
        patience, done = self._recipe.patience, len(history)
        spent = patience is not None and done > 0 and done - best(history) >= patience
        return done >= self._recipe.epochs or spent

    def deliver(self) -> None:
        """Give the network the weights that the run ends with."""
        if self._recipe.keep == "best":
            self._put(_BEST)
        elif self._recipe.ema is not None:
            self._put(_AVERAGE)

    def mark(self, history: list[dict[str, float]]) -> str:
        """Mark the epoch of the best weights as `kept: 1`; say which, and if patience ended it."""
        said = []
        if len(history) < self._recipe.epochs:
            said.append(f"stopped after epoch {len(history)}: none better on val since")
        if self._recipe.keep == "best":
            chosen = best(history)
            history[chosen - 1]["kept"] = 1
            said.append(f"the weights kept are those of epoch {chosen}, the best on val")
        return "; ".join(said)

    def _copy(self, kind: str) -> None:
        for name, now in self._network.state_dict().items():
            self.tensors[kind + name] = now.detach().clone()

    def _put(self, kind: str) -> None:
        state = self._network.state_dict()
        self._network.load_state_dict({name: self.tensors[kind + name] for name in state})


def best(history: list[dict[str, float]]) -> int:
    """Return the epoch, from 1, whose val_ score is highest; of several the first."""
    scores = [next(v for name, v in line.items() if name.startswith("val_")) for line in history]
    ranked = [-math.inf if math.isnan(score) else score for score in scores]
    return ranked.index(max(ranked)) + 1
