"""Checkpoints to the step: safetensors with the position in the metadata, replaced atomically."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edgepress.training import machine
from edgepress.training.optimizers.optimizer import Memory, Optimizer
from edgepress.training.ranks import Ranks


def run_key(*parts: str) -> str:
    """Return a key over the run's inputs and the hash of its code: neither can be mixed up."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@dataclass
class Position:
    """How far a run is: steps done, finished epochs, running sums of the epoch under way."""

    step: int
    history: list[dict[str, float]]
    sums: dict[str, float]
    batch: int = 0
    """Images of a step, where they were found by trial: another process may find others."""


class Checkpoint:
    """One run's checkpoint file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made on the first save."""
        self.folder = folder
        self.path = folder / "checkpoint.safetensors"

    def save(
        self, network: nn.Module, optimizer: Optimizer, at: Position, kept: dict[str, Tensor]
    ) -> None:
        """Replace the checkpoint with the present state; `kept` are further weights by name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        memory = optimizer.memory()
        tensors = {f"network/{name}": each for name, each in network.state_dict().items()}
        tensors.update((f"optimizer/{name}", each) for name, each in memory.tensors.items())
        tensors.update((f"kept/{name}", each) for name, each in kept.items())
        lies = {name: (each.stride(), each.device.type) for name, each in memory.tensors.items()}
        said = {"position": vars(at), "plain": memory.plain, "lies": lies}
        partial = self.path.with_suffix(".partial")
        save_file(
            {name: each.detach().cpu().contiguous() for name, each in tensors.items()},
            partial,
            metadata={key: json.dumps(value) for key, value in said.items()},
        )
        partial.replace(self.path)

    def restore(
        self, network: nn.Module, optimizer: Optimizer, kept: dict[str, Tensor]
    ) -> Position | None:
        """Load the checkpoint into all three, return its position; None without a usable one."""
        try:
            with safe_open(self.path, framework="pt") as file:
                said: dict[str, Any] = {k: json.loads(v) for k, v in file.metadata().items()}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            position, plain, lies = Position(**said["position"]), said["plain"], said["lies"]
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            return None
        network.load_state_dict(_below("network/", tensors))
        held = _below("optimizer/", tensors).items()
        optimizer.recall(Memory({name: _laid(each, *lies[name]) for name, each in held}, plain))
        kept.update((n, t.to(machine.device())) for n, t in _below("kept/", tensors).items())
        return position

    def clear(self) -> None:
        """Remove the checkpoint once its result is safe elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)


def begun_alike(
    checkpoint: Checkpoint | None,
    ranks: Ranks,
    network: nn.Module,
    optimizer: Optimizer,
    kept: dict[str, Tensor],
) -> Position | None:
    """Load the first worker's checkpoint, and give the others what it begins with."""
    at = checkpoint.restore(network, optimizer, kept) if checkpoint and ranks.first else None
    if ranks.count == 1:
        return at
    # By way of a file, which others may not see: they may be on hosts without that folder.
    with TemporaryDirectory() as folder:
        passed = Checkpoint(Path(folder))
        if ranks.first:
            passed.save(network, optimizer, at or Position(0, [], {}), kept)
        data = ranks.handed(passed.path.read_bytes() if ranks.first else b"")
        if not ranks.first:
            passed.path.write_bytes(data)
            at = passed.restore(network, optimizer, kept)
    return at


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _laid(tensor: Tensor, stride: list[int], kind: str) -> Tensor:
    """Return a tensor as it lay in memory: sums over it are then made in the same order."""
    # Counts of steps are scalars that torch keeps on the CPU, whatever the device.
    on = machine.device() if tensor.ndim or kind != "cpu" else torch.device("cpu")
    return torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=on).copy_(tensor)
