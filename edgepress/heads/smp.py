"""The decoders of Segmentation Models PyTorch by name.

Library: https://github.com/qubvel-org/segmentation_models.pytorch (MIT). They expect features that
halve the picture step by step, as convolutional backbones give them.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from edgepress.backbones.features import FeatureInfo
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec

FEATURES = "maps"

Decoder = Literal["unet", "unetplusplus", "manet", "linknet", "fpn", "upernet", "segformer"]
_CLASSES = {
    "unet": "UnetDecoder",
    "unetplusplus": "UnetPlusPlusDecoder",
    "manet": "MAnetDecoder",
    "linknet": "LinknetDecoder",
    "fpn": "FPNDecoder",
    "upernet": "UPerNetDecoder",
    "segformer": "SegformerDecoder",
}


class Params(Config):
    """Which decoder, and how wide."""

    method: Literal["smp"]
    decoder: Decoder
    """Name as in the library."""
    width: int = Field(ge=4, le=1024)
    """Channels of its finest step; those of U-Nets double with every coarser one."""


class Smp(nn.Module):
    """Maps to [N, outputs, H, W]."""

    float_layers = ("last",)

    def __init__(self, decoder: nn.Module, width: int, outputs: int, size: tuple[int, int]) -> None:
        """Wrap a decoder whose result has `width` channels."""
        super().__init__()
        self.decoder = decoder
        self.last = nn.Conv2d(width, outputs, 3, padding=1)
        self.size = size

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Map a backbone's features to logits as large as its input."""
        # The first place is the picture itself, of which they take the size and nothing else.
        first = maps[0].new_zeros((maps[0].shape[0], 1, *self.size))
        logits = self.last(self.decoder([first, *maps]))
        if logits.shape[2:] == self.size:
            return logits  # type: ignore[no-any-return]
        return interpolate(logits, self.size, mode="bilinear", align_corners=False)


def build(
    info: tuple[FeatureInfo, ...],
    outputs: tuple[TensorSpec, ...],
    spec: InputSpec,
    *,
    params: Params,
) -> nn.Module:
    """Return the head for one output [1, C, H, W]."""
    strides = [each.reduction for each in info]
    if strides != [2 ** (step + 1) for step in range(len(info))]:
        raise UserError(
            f"head: smp's {params.decoder} needs features of strides 2, 4, 8 ..., the backbone "
            f"gives {strides}; choose the head unet or lraspp, or another backbone"
        )
    place = f"segmentation_models_pytorch.decoders.{params.decoder}.decoder"
    made = getattr(importlib.import_module(place), _CLASSES[params.decoder])
    channels = [spec.channels, *(each.channels for each in info)]
    decoder = made(channels, **_arguments(params, len(info)))
    return Smp(decoder, params.width, outputs[0].shape[1], (spec.height, spec.width))


def _arguments(params: Params, depth: int) -> dict[str, Any]:
    """Return what a decoder is made with, so that its result has `width` channels."""
    width = params.width
    if params.decoder in ("unet", "unetplusplus", "manet"):
        return {
            "decoder_channels": [width << step for step in reversed(range(depth))],
            "n_blocks": depth,
        }
    if params.decoder == "linknet":
        return {"prefinal_channels": width, "n_blocks": depth}
    if params.decoder == "fpn":
        return {
            "encoder_depth": depth,
            "pyramid_channels": 2 * width,
            "segmentation_channels": width,
            "dropout": 0.0,
        }
    name = "decoder_channels" if params.decoder == "upernet" else "segmentation_channels"
    return {"encoder_depth": depth, name: width}
