"""Features of any timm model, pretrained where the model hub or its cache can be reached."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from edgepress.curation.encoders.request import Request
from edgepress.errors import UserError, nearest
from edgepress.params import Config
from edgepress.records.inputs import InputSpec
from edgepress.training import machine


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


def encode(request: Request, *, params: Params) -> npt.NDArray[np.float32]:
    """Return pooled features [N, D] of the request's images."""
    import timm

    known = timm.list_models()
    if params.model.split(".")[0] not in known:
        raise UserError(
            f"embed.model: timm has no model {params.model!r}{nearest(params.model, known)}"
        )
    torch.manual_seed(request.seed)
    try:
        network = timm.create_model(params.model, pretrained=params.pretrained, num_classes=0)
    except Exception as error:
        if not params.pretrained:
            raise
        raise UserError(
            f"embed.model: the pretrained weights of {params.model!r} cannot be had: "
            f"{type(error).__name__}: {error}; connect to the model hub, fill its cache, or use "
            "method: rotation or precomputed"
        ) from None
    config = timm.data.resolve_data_config({}, model=network)
    spec = InputSpec(
        height=params.side,
        width=params.side,
        channels=3,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resize="bicubic",
    )
    on = machine.device()
    network = machine.place(network, on).eval()
    parts = []
    with torch.inference_mode():
        for batch in request.images.batches(spec, params.batch):
            parts.append(network(torch.from_numpy(batch).to(on)).float().cpu().numpy())
    return np.concatenate(parts)
