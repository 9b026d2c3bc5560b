"""Network: a backbone and a head as one module, built from params.yaml entries and tried once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgepress.backbones.features import Backbone
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

Given = Tensor | tuple[Tensor | dict[str, Tensor], ...]
"""What a network gives: a Tensor, or a tuple of them, and last what only its learning asks for."""


class Network(nn.Module):
    """Images to a Tensor, or a tuple of them in the order of `names`.

    In training a head may add a mapping of further tensors, which its task's loss takes by name.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, names: tuple[str, ...]) -> None:
        """Join a backbone with the head that takes its features."""
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.names = names

    def forward(self, images: Tensor) -> Given:
        """Map images [N, C, H, W] to the head's outputs."""
        return self.head(self.backbone(images))  # type: ignore[no-any-return]

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Names of the layers that the head wants left in float at INT8; most heads name none."""
        own: tuple[str, ...] = getattr(self.head, "float_layers", ())
        return tuple(f"head.{name}" for name in own)


@dataclass(frozen=True)
class Blueprint:
    """What a network is built from."""

    backbone: dict[str, Any]
    """Entry of params.yaml."""
    head: dict[str, Any]
    """Entry of params.yaml."""
    spec: InputSpec
    outputs: tuple[TensorSpec, ...]
    """What the task asks of the head."""
    where: str = "params.yaml"
    section: str = "train"
    """Section of the entries, for messages."""
    guessed: bool = False
    """Whether the classes are stand-ins: how many outputs a model of its own gives is not held."""


def build(blueprint: Blueprint) -> Network:
    """Return a freshly initialised network; one that cannot take the input is a UserError."""
    key = f"{blueprint.section}.backbone".lstrip(".")
    backbone = resolve("backbones", blueprint.backbone, blueprint.where, key)
    head = resolve("heads", blueprint.head, blueprint.where, _head_key(blueprint))
    try:
        body = backbone(blueprint.spec, head.module.FEATURES)
    except UserError as error:
        raise UserError(f"{blueprint.where}: {key}: {error}") from None
    names = tuple(output.name for output in blueprint.outputs)
    try:
        made = head(body.info, blueprint.outputs, blueprint.spec)
    except UserError as error:
        raise UserError(f"{blueprint.where}: {_head_key(blueprint)}: {error}") from None
    except Exception as error:  # Other people's decoders refuse features in many ways.
        raise _unfit(blueprint, head.name, error) from None
    network = Network(body, made, names)
    _try(network, blueprint)
    return network


def _head_key(blueprint: Blueprint) -> str:
    return f"{blueprint.section}.head".lstrip(".")


def _unfit(blueprint: Blueprint, head: str, error: Exception) -> UserError:
    return UserError(
        f"{blueprint.where}: {_head_key(blueprint)}: {head} cannot take the features of "
        f"{blueprint.backbone.get('model') or blueprint.backbone.get('method')}: "
        f"{str(error) or type(error).__name__}; choose another head or backbone"
    )


def named(outputs: Given, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return a network's outputs by name, and what a head added in training by its own."""
    held = outputs if isinstance(outputs, tuple | list) else (outputs,)
    added = held[-1] if isinstance(held[-1], dict) else {}
    tensors = [each for each in held if not isinstance(each, dict)]
    return {**dict(zip(names, tensors, strict=True)), **added}


def _try(network: Network, blueprint: Blueprint) -> None:
    """Run one empty image through the network and hold its outputs against what the task asks."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            found = named(network(torch.zeros(blueprint.spec.shape)), network.names)
    except Exception as error:  # As above.
        raise _unfit(blueprint, str(blueprint.head.get("method")), error) from None
    finally:
        network.train(training)
    for output in blueprint.outputs:
        shape = tuple(found[output.name].shape)
        if not _as_asked(shape, output, blueprint):
            raise UserError(
                f"{blueprint.where}: {_head_key(blueprint)}: gives {output.name} {shape}, the "
                f"task asks for {output.shape}; {_advice(blueprint)}"
            )


def _advice(blueprint: Blueprint) -> str:
    if blueprint.head.get("method") == "own":
        return "take a model of as many classes as the images have, or images of its classes"
    return "choose another head"


def _as_asked(shape: tuple[int, ...], output: TensorSpec, blueprint: Blueprint) -> bool:
    """Hold an output's shape; of a head that we do not build, less its channels if guessed."""
    if not (blueprint.guessed and blueprint.head.get("method") == "own"):
        return shape == output.shape
    letters = output.layout
    return len(shape) == len(letters) and all(
        ours == asked
        for ours, asked, letter in zip(shape, output.shape, letters, strict=True)
        if letter != "C"
    )
