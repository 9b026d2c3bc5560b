"""Teacher: a trained network that answers live, or once per image with the answers kept on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgepress.bundles.network import named
from edgepress.progress import Progress, silent
from edgepress.records.tensors import Arrays
from edgepress.training import answering, machine
from edgepress.training.examples import Dataset


@dataclass
class Teacher:
    """A network in eval mode, the sha256 of its weights, and a folder for its answers."""

    network: nn.Module
    sha256: str
    cache: Path
    _kept: Arrays = field(default_factory=dict, init=False)

    def prepare(self) -> None:
        """Move the network to the training device."""
        machine.place(self.network, machine.device()).eval()

    def live(self, inputs: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Return outputs by name for normalised images, without gradients."""
        with torch.no_grad():
            return named(self.network(inputs), names)

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """Return the backbone's maps for normalised images, without gradients."""
        with torch.no_grad():
            return list(self.network.backbone(inputs))  # type: ignore[operator]

    def answer_once(
        self, examples: Dataset, names: tuple[str, ...], progress: Progress = silent
    ) -> None:
        """Compute the raw outputs for all examples unless they are on disk; open them there."""
        key = f"{self.sha256[:16]}-{examples.digest()[:16]}"
        paths = {name: self.cache / f"{key}-{name}.npy" for name in names}
        if not all(path.is_file() for path in paths.values()):
            self._write(examples, paths, progress)
        self._kept = {
            name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in paths.items()
        }

    def kept(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the outputs kept for rows of the examples."""
        picked = rows.numpy()
        return {
            name: torch.from_numpy(np.array(values[picked])) for name, values in self._kept.items()
        }

    def _write(self, examples: Dataset, paths: dict[str, Path], progress: Progress) -> None:
        """Stream the outputs of batch after batch into a file each, renamed when whole."""
        self.cache.mkdir(parents=True, exist_ok=True)
        partials = {
            name: path.with_name(f".{path.name}.{os.getpid()}.partial")
            for name, path in paths.items()
        }
        files: Arrays = {}
        done = 0
        for batch in answering.outputs(self.network, examples, tuple(paths)):
            for name, values in batch.items():
                if name not in files:
                    files[name] = np.lib.format.open_memmap(
                        partials[name],
                        mode="w+",
                        dtype=np.float32,
                        shape=(len(examples), *values.shape[1:]),
                    )
                files[name][done : done + len(values)] = values
            done += len(values)
            progress("the teacher answers", done, len(examples))
        for name, path in paths.items():
            partials[name].replace(path)
