"""Any model of PyTorch Image Models by its name, optionally with its pretrained weights.

Library: https://github.com/huggingface/pytorch-image-models (Apache-2.0).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import nn

from edgepress.errors import UserError, nearest
from edgepress.params import Config


class Params(Config):
    """Which model, and whether its published weights are fetched."""

    method: Literal["timm"]
    model: str = Field(min_length=1)
    """Name as in timm.list_models(), for example mobilenetv3_small_050."""
    pretrained: bool = False
    """Start from the published weights; needs the model hub once."""
    arguments: dict[str, int | float | str | bool] = {}
    """Further keyword arguments of the model, for example {drop_path_rate: 0.1}."""


def build(channels: int, classes: int, *, params: Params) -> nn.Module:
    """Return the timm model with a new classifier; unknown names are refused."""
    import timm

    known = timm.list_models()
    if params.model.split(".")[0] not in known:
        raise UserError(
            f"backbone: timm has no model {params.model!r}{nearest(params.model, known)}; "
            "see timm.list_models()"
        )
    arguments: dict[str, Any] = dict(params.arguments)
    try:
        model: nn.Module = timm.create_model(
            params.model,
            pretrained=params.pretrained,
            in_chans=channels,
            num_classes=classes,
            **arguments,
        )
    except TypeError as error:
        raise UserError(f"backbone: timm model {params.model!r}: arguments: {error}") from None
    except Exception as error:
        if not params.pretrained:
            raise
        raise UserError(
            f"backbone: the pretrained weights of timm model {params.model!r} cannot be had: "
            f"{type(error).__name__}: {error}; connect to the model hub, put the weights into its "
            "cache, or set pretrained: false"
        ) from None
    return model
