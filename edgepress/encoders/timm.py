"""Features of any timm model, pretrained where the model hub or its cache can be reached."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.encoders.request import Request
from edgepress.errors import UserError, nearest
from edgepress.params import Config
from edgepress.records.inputs import InputSpec


class Params(Config):
    """Which model, and whether its published weights are used."""

    method: Literal["timm"]
    model: str = Field(min_length=1)
    """Name as in timm.list_models(), for example vit_small_patch14_dinov2.lvd142m."""
    pretrained: bool
    """false gives random features: a baseline, not an encoder."""
    side: int = Field(ge=16, le=1024)
    """Images are resized to side x side pixels for the encoder."""
    batch: int = Field(ge=1, le=4096)
    """Images per forward pass."""


def fit(request: Request, *, params: Params) -> NetworkEncoder:
    """Return the model with its published weights, or with random ones of the request's seed."""
    return open_model(params, request.seed)


def open_model(params: Params, seed: int = 0) -> NetworkEncoder:
    """Return the model with its published weights, or with random ones of the seed."""
    import timm

    torch.manual_seed(seed)
    model = _create(params, pretrained=params.pretrained)
    config = timm.data.resolve_data_config({}, model=model)
    spec = InputSpec(
        height=params.side,
        width=params.side,
        channels=3,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resize="bicubic",
    )
    return NetworkEncoder(model, spec, params.batch)


def network(params: Params, channels: int) -> nn.Module:
    """Return the model's network with fresh weights; timm's take three channels."""
    assert channels == 3
    return _create(params, pretrained=False)


def _create(params: Params, *, pretrained: bool) -> nn.Module:
    import timm

    known = timm.list_models()
    if params.model.split(".")[0] not in known:
        raise UserError(
            f"embed.model: timm has no model {params.model!r}{nearest(params.model, known)}"
        )
    try:
        model: nn.Module = timm.create_model(params.model, pretrained=pretrained, num_classes=0)
    except Exception as error:
        if not pretrained:
            raise
        raise UserError(
            f"embed.model: the pretrained weights of {params.model!r} cannot be had: "
            f"{type(error).__name__}: {error}; connect to the model hub, fill its cache, or use "
            "method: rotation or precomputed"
        ) from None
    return model
