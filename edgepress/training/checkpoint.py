"""Checkpoints to the step: safetensors with the position in the metadata, replaced atomically."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edgepress.training.sgd import Sgd


def run_key(*parts: str) -> str:
    """Return a key over the run's inputs and the hash of its code: neither can be mixed up."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@dataclass
class Position:
    """How far a run is: steps done, finished epochs, running sums of the epoch under way."""

    step: int
    history: list[dict[str, float]]
    sums: dict[str, float]


class Checkpoint:
    """One run's checkpoint file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made on the first save."""
        self.folder = folder
        self._path = folder / "checkpoint.safetensors"

    def save(self, network: nn.Module, optimizer: Sgd, at: Position) -> None:
        """Replace the checkpoint with the present state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names: dict[Tensor, str] = {p: name for name, p in network.named_parameters()}
        tensors: dict[str, Tensor] = {}
        for name, tensor in network.state_dict().items():
            tensors[f"network/{name}"] = tensor.detach().cpu().contiguous()
        for parameter, momentum in optimizer.momentum.items():
            tensors[f"momentum/{names[parameter]}"] = momentum.detach().cpu().contiguous()
        partial = self._path.with_suffix(".partial")
        save_file(tensors, partial, metadata={"position": json.dumps(vars(at))})
        partial.replace(self._path)

    def restore(self, network: nn.Module, optimizer: Sgd) -> Position | None:
        """Load the checkpoint into both and return its position; None without a usable one."""
        try:
            with safe_open(self._path, framework="pt") as file:
                position: dict[str, Any] = json.loads(file.metadata()["position"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            return None
        prefix = "network/"
        network.load_state_dict(
            {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
        )
        for name, parameter in network.named_parameters():
            momentum = tensors.get(f"momentum/{name}")
            if momentum is not None:
                kept = torch.empty_like(parameter).copy_(momentum)
                optimizer.momentum[parameter] = kept
        return Position(**position)

    def clear(self) -> None:
        """Remove the checkpoint once its result is safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)
