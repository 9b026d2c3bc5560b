"""Work: what a stage that trains has to compute, counted and timed on its own network.

A training step costs about three forward passes: one forward, and two for the gradients of
activations and of weights (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361). The rate is that
of this very network on this machine, since small ones are bound by other things than arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from edgepress import recipes
from edgepress.methods import resolve
from edgepress.params import validate
from edgepress.records.inputs import InputSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgepress.training.machine import Precision

FORWARD_AND_BACKWARD = 3
_MEASURED_S = 0.6
_BATCH_MACS = 3e10
"""Multiply-accumulates of a measured step, at most: a second on a slow core. Of fewer images than
a handful the rate is not that of training."""


@dataclass(frozen=True)
class Work:
    """One image of a stage's training, counted and timed."""

    macs: int
    """Multiply-accumulates of the passes that an image takes in one epoch."""
    images_per_s: float


def section(stage: str) -> str:
    """Return the key of params.yaml whose `epochs` a stage trains for."""
    return f"{stage}.recipe" if stage in ("train", "distill") else stage


def epochs(params: Mapping[str, Any], stage: str) -> int:
    """Return the epochs a stage trains for; 0 where its method learns nothing."""
    entry: Any = params
    for key in section(stage).split("."):
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    found = _spelt_out(entry).get("epochs")
    return found if isinstance(found, int) else 0


def measured(params: dict[str, Any], stage: str, where: str) -> Work:
    """Build a stage's network with fresh weights, count an image, and time a few steps."""
    import torch

    from edgepress.backbones._counting import count

    spec = validate(InputSpec, params.get("input"), where, "input")
    recipe, views = _recipe(params, stage), 1
    asked = recipe.get("batch")
    batch = asked if isinstance(asked, int) else 32
    if stage == "embed":
        network, spec, views = _encoder(params, spec, where)
    else:
        network = _network(params, "distill" if stage == "slim" else stage, spec, where)
    one = max(1, count(network, spec.shape).macs)
    fits = int(_BATCH_MACS / (one * FORWARD_AND_BACKWARD))
    size = max(2, min(batch * views, fits))
    precision = recipe.get("precision", "fp32")
    rate = _rate(network, torch.rand(size, *spec.shape[1:]), precision) / views
    teacher = 0.0
    if stage == "distill" and recipe.get("augment") not in (None, "none"):
        taught = _network(params, "train", spec, where)
        teacher = float(max(1, count(taught, spec.shape).macs))
    passes = views * one * FORWARD_AND_BACKWARD
    return Work(int(passes + teacher), rate * passes / (passes + teacher))


def _recipe(params: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    entry = params[stage]
    found = entry["recipe"] if stage in ("train", "distill") else entry
    return _spelt_out(found)


def _spelt_out(entry: Any) -> Mapping[str, Any]:
    """Return an entry with what its named recipe says."""
    return recipes.expanded(entry, "params.yaml") if isinstance(entry, Mapping) else {}


def _network(params: dict[str, Any], name: str, spec: InputSpec, where: str) -> nn.Module:
    from edgepress.bundles.network import Blueprint, build
    from edgepress.tasks.task import Task

    outputs = Task.open(params["task"], ("a", "b"), where).learner.outputs(spec)
    backbone = {**params[name]["backbone"]}
    if "pretrained" in backbone:
        backbone["pretrained"] = False
    head = params[name]["head"]
    return build(Blueprint(backbone, head, spec, outputs, where, name, guessed=True))


def _encoder(
    params: dict[str, Any], spec: InputSpec, where: str
) -> tuple[nn.Module, InputSpec, int]:
    """Return the network an encoder trains, the input it looks at, and its passes for an image."""
    encoder = resolve("encoders", params["embed"], where, "embed")
    network, seen, views = encoder.module.trained(encoder.params, spec)
    return network, seen, views


def _rate(network: nn.Module, images: torch.Tensor, precision: Precision) -> float:
    """Return the images a second of forward and backward passes, here and now."""
    from edgepress.training import machine

    device = machine.device()
    network = machine.place(network, device).train()
    images = machine.arrange(images.to(device), machine.layout(network, device))
    context = partial(machine.autocast, precision, device)
    _step(network, images, context)  # warms up
    steps, begun = 0, time.perf_counter()
    while steps == 0 or time.perf_counter() - begun < _MEASURED_S:
        _step(network, images, context)
        steps += 1
    return steps * len(images) / (time.perf_counter() - begun)


def _step(
    network: nn.Module, images: torch.Tensor, context: Callable[[], AbstractContextManager[object]]
) -> None:
    """Go forward and back once; reading the sum waits for a GPU to be done."""
    network.zero_grad()
    with context():
        total = sum(each.float().mean() for each in _tensors(network(images)))
    total.backward()
    total.item()


def _tensors(found: Any) -> list[Any]:
    """Return every tensor of an answer that gradients flow to, however it is nested."""
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [each for inner in found for each in _tensors(inner)]
    return [found] if getattr(found, "requires_grad", False) else []
