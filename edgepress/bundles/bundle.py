"""Save a network as a Bundle folder and build the very same network from it, without pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from edgepress.backbones import _counting
from edgepress.bundles import _schema1
from edgepress.bundles.network import Blueprint, Network, named
from edgepress.bundles.network import build as build_network
from edgepress.bundles.surgery import replay
from edgepress.errors import UserError
from edgepress.records.bundle import WEIGHTS, Bundle, Step
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_file
from edgepress.tasks.task import Task


@dataclass(frozen=True)
class Draft:
    """What a Bundle says beyond what can be read off the network itself."""

    task: Task
    backbone: dict[str, Any]
    head: dict[str, Any]
    input: InputSpec
    lineage: dict[str, str]
    surgery: tuple[Step, ...] = ()


def save(folder: Path, network: nn.Module, draft: Draft) -> Bundle:
    """Write `network` into `folder` (made if missing), read it back, and return its record.

    A network that does not come back with the same answers is a UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WEIGHTS
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    save_file(tensors, path)
    cost = _counting.count(network, draft.input.shape)
    bundle = Bundle(
        task=draft.task.entry,
        backbone={**draft.backbone, **getattr(network.backbone, "held", {})},
        head=draft.head,
        classes=draft.task.classes,
        input=draft.input,
        surgery=draft.surgery,
        parameters=_counting.parameters(network),
        macs=cost.macs,
        products=cost.products,
        uncounted=cost.uncounted,
        lineage=draft.lineage,
        weights_sha256=sha256_file(path),
    )
    bundle.write(folder)
    refuse_changed(network, load(folder)[1], draft.input, str(folder))
    return bundle


def load(folder: Path) -> tuple[Bundle, Network]:
    """Return the record and the network in eval mode on the CPU; damaged folders are UserErrors."""
    bundle, old = _read(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: file not found; run the stage that writes it")
    if sha256_file(path) != bundle.weights_sha256:
        raise UserError(f"{path}: does not match weights_sha256 of model.json; write it anew")
    network = build(bundle)
    try:
        tensors = load_file(path)
        if old:
            tensors = _schema1.renamed(tensors, bundle.backbone, str(path))
        network.load_state_dict(tensors)
    except (RuntimeError, SafetensorError) as error:
        raise UserError(f"{path}: does not fit the network of model.json: {error}") from None
    network.eval()
    return bundle, network


def build(bundle: Bundle) -> Network:
    """Return the Bundle's network with its surgery replayed and fresh weights."""
    backbone = {**bundle.backbone}
    if backbone.get("pretrained"):
        backbone["pretrained"] = False
    task = Task.open(bundle.task, bundle.classes, Bundle.file_name)
    outputs = task.learner.outputs(bundle.input)
    network = build_network(
        Blueprint(backbone, bundle.head, bundle.input, outputs, Bundle.file_name, "")
    )
    replay(network, bundle.surgery)
    return network


def refuse_changed(network: nn.Module, other: nn.Module, spec: InputSpec, where: str) -> None:
    """Raise a UserError unless both networks answer one noisy image alike."""
    image = torch.randn(spec.shape, generator=torch.Generator().manual_seed(0))
    kept = network.training
    with torch.inference_mode():
        ours, theirs = (_answers(each.eval(), image) for each in (network, other))
    network.train(kept)
    for name, values in ours.items():
        if not torch.allclose(values, theirs[name], rtol=1e-4, atol=1e-5, equal_nan=True):
            worst = float((values - theirs[name]).abs().max())
            raise UserError(
                f"{where}: read back, the network answers otherwise (by {worst:.3g}); "
                "it holds something that the record cannot say"
            )


def _answers(network: nn.Module, image: torch.Tensor) -> dict[str, torch.Tensor]:
    found = network(image.to(next(network.parameters()).device))
    held = found if isinstance(found, tuple) else (found,)
    return named(tuple(each.cpu() for each in held), tuple(map(str, range(len(held)))))


def _read(folder: Path) -> tuple[Bundle, bool]:
    """Return the record, and whether it is of schema 1, which is read as schema 2."""
    path = folder / Bundle.file_name
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Bundle.read(folder), False  # Refused in the record's own words.
    if isinstance(raw, dict) and raw.get("schema_version") == 1:
        return Bundle.model_validate(_schema1.upgraded(raw, str(path))), True
    return Bundle.read(folder), False
