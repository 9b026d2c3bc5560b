"""Save a network as a Bundle folder and build the very same network from it, without pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from edgepress.backbones import counting
from edgepress.backbones.surgery import replay
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.bundle import WEIGHTS, Bundle, Resize
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_file


@dataclass(frozen=True)
class Draft:
    """What a Bundle says beyond what can be read off the network itself."""

    backbone: dict[str, Any]
    classes: tuple[str, ...]
    input: InputSpec
    lineage: dict[str, str]
    surgery: tuple[Resize, ...] = ()


def save(folder: Path, network: nn.Module, draft: Draft) -> Bundle:
    """Write `network` into `folder` (made if missing) and return its record."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WEIGHTS
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    save_file(tensors, path)
    bundle = Bundle(
        task="classification",
        backbone=draft.backbone,
        classes=draft.classes,
        input=draft.input,
        surgery=draft.surgery,
        parameters=counting.parameters(network),
        macs=counting.macs(network, draft.input.shape),
        lineage=draft.lineage,
        weights_sha256=sha256_file(path),
    )
    bundle.write(folder)
    return bundle


def load(folder: Path) -> tuple[Bundle, nn.Module]:
    """Return the record and the network in eval mode on the CPU; damaged folders are UserErrors."""
    bundle = Bundle.read(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: file not found; run the stage that writes it")
    if sha256_file(path) != bundle.weights_sha256:
        raise UserError(f"{path}: does not match weights_sha256 of model.json; write it anew")
    network = build(bundle)
    try:
        network.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise UserError(f"{path}: does not fit the network of model.json: {error}") from None
    return bundle, network.eval()


def build(bundle: Bundle) -> nn.Module:
    """Return the Bundle's network with its surgery replayed and fresh weights."""
    raw = {**bundle.backbone}
    if raw.get("pretrained"):
        raw["pretrained"] = False
    method = resolve("backbones", raw, "model.json", "backbone")
    network: nn.Module = method(bundle.input.channels, len(bundle.classes))
    replay(network, bundle.surgery)
    return network
