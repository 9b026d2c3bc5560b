"""RotNet features: a small network learns which way up the images are, on the images themselves.

Paper: Gidaris, Singh and Komodakis 2018, https://arxiv.org/abs/1803.07728. Every image goes in
four times per step, rotated by 0, 90, 180 and 270 degrees (exact: transpose and flip), and the
network names the rotation. Embeddings are the pooled features after the second of three stages,
which transfer better than the last, less their mean.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgepress.curation.encoders.request import Request
from edgepress.errors import UserError
from edgepress.training.examples import Examples
from edgepress.training.loop import Batch, Job, Recipe, fit, logits


class Params(Recipe):
    """Width of the encoder and the recipe of its training."""

    method: Literal["rotation"]
    width: int = Field(ge=4, le=512)
    """Channels of the first stage; embeddings are 2 x width x 4 wide (a 2 x 2 grid of averages)."""


class RotNet(nn.Module):
    """Three convolutional stages and a four-way classifier; `features` stops after the second."""

    def __init__(self, width: int, channels: int) -> None:
        """Build for images of `channels` channels."""
        super().__init__()
        self.stage1 = _stage(channels, width, stride=1)
        self.stage2 = _stage(width, 2 * width, stride=2)
        self.stage3 = _stage(2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, 4)
        self.grid = nn.AdaptiveAvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to rotation logits [N, 4]."""
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """Map images [N, C, H, W] to embeddings [N, 8 * width]."""
        return self.grid(self.stage2(self.stage1(x))).flatten(1)  # type: ignore[no-any-return]


class _Features(nn.Module):
    def __init__(self, network: RotNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.features(x)


def encode(request: Request, *, params: Params) -> npt.NDArray[np.float32]:
    """Train the encoder on the request's images and return their embeddings [N, 8 * width]."""
    if request.spec.height != request.spec.width:
        raise UserError("embed: the rotation encoder needs square images; set input.height = width")
    pixels = request.images.pixels(request.spec)
    examples = Examples(pixels, request.images.labels, request.spec)
    torch.manual_seed(request.seed)
    network = RotNet(params.width, request.spec.channels)
    watched = Examples(pixels[:64], np.zeros(len(pixels[:64]), np.int64), request.spec)
    fit(Job(network, examples, watched, request.seed, request.checkpoint), params, _name_rotation)
    features = logits(_Features(network), examples)
    # Averages after a ReLU all point one way; without their mean, cosines tell images apart.
    return np.asarray(features - features.mean(axis=0), np.float32)


def _name_rotation(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    turned = torch.cat([torch.rot90(batch.inputs, turns, (2, 3)) for turns in range(4)])
    target = torch.arange(4, device=turned.device).repeat_interleave(len(batch.inputs))
    answers = network(turned)
    return cross_entropy(answers, target), answers[: len(batch.inputs)]


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
