"""Teacher: a trained network that answers live, or once per image with the answers kept on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgepress.training import loop, machine
from edgepress.training.examples import Examples


@dataclass
class Teacher:
    """A network in eval mode, the sha256 of its weights, and a folder for its answers."""

    network: nn.Module
    sha256: str
    cache: Path

    def prepare(self) -> None:
        """Move the network to the training device."""
        machine.place(self.network, machine.device()).eval()

    def live(self, inputs: Tensor) -> Tensor:
        """Return logits [N, classes] for normalised images, without gradients."""
        with torch.no_grad():
            return self.network(inputs)  # type: ignore[no-any-return]

    def cached_logits(self, examples: Examples) -> npt.NDArray[np.float32]:
        """Return logits [N, classes] in the examples' order, computed on the first call only."""
        path = self.cache / f"{self.sha256[:16]}-{examples.digest()[:16]}.npy"
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial.npy")
            np.save(partial, loop.logits(self.network, examples))
            partial.replace(path)
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
