"""Features of any timm model, pretrained where the model hub or its cache can be reached."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

import torch
from pydantic import Field
from torch import nn

from edgepress.backbones import timm
from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.encoders.request import Request
from edgepress.errors import UserError
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
    found = open_model(params, request.seed)
    return replace(found, spec=found.spec.model_copy(update={"draft": request.spec.draft}))


def open_model(params: Params, seed: int = 0) -> NetworkEncoder:
    """Return the model with its published weights, or with random ones of the seed."""
    torch.manual_seed(seed)
    model = _model(params, params.pretrained)
    from timm.data import resolve_data_config

    config = resolve_data_config({}, model=model)
    spec = _spec(params, tuple(config["mean"]), tuple(config["std"]))
    return NetworkEncoder(model, spec, params.batch)


def network(params: Params, spec: InputSpec) -> nn.Module:  # noqa: ARG001
    """Return the model's network with fresh weights; it sees images by its own side."""
    return _model(params, pretrained=False)


def _model(params: Params, pretrained: bool) -> nn.Module:
    """Build and try the model; what cannot be had or cannot take the side is a UserError."""
    entry = timm.Params(method="timm", model=params.model, pretrained=pretrained)
    try:
        # The wrapper stays out of it, so that saved encoders have the names of timm's weights.
        return cast(nn.Module, timm.build(_spec(params), "pooled", params=entry).model)
    except UserError as error:
        raise UserError(f"embed.model: {error}") from None


def _spec(
    params: Params,
    mean: tuple[float, ...] = (0.5,) * 3,
    std: tuple[float, ...] = (0.5,) * 3,
) -> InputSpec:
    side = params.side
    return InputSpec(height=side, width=side, channels=3, mean=mean, std=std, resize="bicubic")
