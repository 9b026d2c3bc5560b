"""RotNet features: a small network learns which way up the images are, on the images themselves.

Paper: Gidaris, Singh and Komodakis 2018, https://arxiv.org/abs/1803.07728. Every image goes in
four times per step, rotated by 0, 90, 180 and 270 degrees (exact: transpose and flip), and the
network names the rotation. Embeddings are the pooled features after the second of three stages,
which transfer better than the last, less their mean. An input that is not square is looked at as
one of its shorter side, and one above `MOST_SIDE` as that divided by a whole number, since its
convolutions are of the input's size: 256 pixels cost 16 times 64.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.encoders.request import Request
from edgepress.records.inputs import InputSpec
from edgepress.training import loop
from edgepress.training.examples import Examples
from edgepress.training.loop import Batch, Job
from edgepress.training.recipe import Recipe

MOST_SIDE = 64
"""Pixels of a side that are looked at."""
BATCH = 256
"""Images per forward pass once trained."""
TURNS = 4
"""Ways up."""


class Params(Recipe):
    """Width of the encoder and the recipe of its training."""

    method: Literal["rotation"]
    width: int = Field(ge=4, le=512)
    """Channels of the first stage; embeddings are 2 x width x 4 wide (a 2 x 2 grid of averages)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.keep == "best" or self.patience is not None:
            raise ValueError("nothing is scored here; set keep: last and patience: null")
        if self.engine.name != "local":
            raise ValueError("the embedding is learnt by one process; remove engine")
        return self


class RotNet(nn.Module):
    """Three convolutional stages and a four-way classifier; `features` stops after the second."""

    def __init__(self, width: int, channels: int) -> None:
        """Build for square images of `channels` channels."""
        super().__init__()
        self.stage1 = _stage(channels, width, stride=1)
        self.stage2 = _stage(width, 2 * width, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, TURNS)
        self.grid = nn.AdaptiveAvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to rotation logits [N, 4]."""
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to embeddings [N, 8 * width]."""
        maps = self.stage2(self.stage1(x))
        return self.grid(maps).flatten(1)  # type: ignore[no-any-return]


class Features(nn.Module):
    """A RotNet that answers with its embeddings."""

    def __init__(self, network: RotNet) -> None:
        """Wrap `network`."""
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to embeddings [N, 8 * width]."""
        return self.network.features(x)


def fit(request: Request, *, params: Params) -> NetworkEncoder:
    """Train the encoder on the request's images."""
    spec = _looked_at(request.spec)
    torch.manual_seed(request.seed)
    features = network(params, spec)
    pixels = request.pixels(spec)
    examples = Examples(pixels, {}, spec)
    told = request.checkpoint, request.progress, request.say
    job = Job(features.network, examples, None, request.seed, None, *told)
    loop.fit(job, params, _name_rotation)
    encoder = NetworkEncoder(features, spec, BATCH)
    # Averages after a ReLU all point one way; without their mean, cosines tell images apart.
    starts = range(0, len(pixels), BATCH)
    sums = [encoder.vectors(pixels[i : i + BATCH]).sum(axis=0, dtype=np.float64) for i in starts]
    return replace(encoder, centre=(np.sum(sums, axis=0) / len(pixels)).astype(np.float32))


def network(params: Params, spec: InputSpec) -> Features:
    """Return the encoder's network with fresh weights."""
    return Features(RotNet(params.width, spec.channels))


def trained(params: Params, spec: InputSpec) -> tuple[RotNet, InputSpec, int]:
    """Return the network that learns, what it looks at, and how often in an epoch at an image."""
    return RotNet(params.width, spec.channels), _looked_at(spec), TURNS


def _looked_at(spec: InputSpec) -> InputSpec:
    """Return a small input as high as wide, which a quarter turn leaves one.

    Pictures that are not square are stretched: bars beside them would tell which way up they are.
    """
    side = min(spec.height, spec.width)
    small = side // -(-side // MOST_SIDE)
    fit = spec.fit if spec.height == spec.width else "stretch"
    return spec.model_copy(update={"height": small, "width": small, "fit": fit})


def _name_rotation(trained: nn.Module, batch: Batch) -> dict[str, Tensor]:
    turned = torch.cat([torch.rot90(batch.inputs, turns, (2, 3)) for turns in range(TURNS)])
    target = torch.arange(TURNS, device=turned.device).repeat_interleave(len(batch.inputs))
    return {"loss": cross_entropy(trained(turned), target)}


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
