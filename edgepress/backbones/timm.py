"""Any model of PyTorch Image Models by its name, optionally with its pretrained weights.

Library: https://github.com/huggingface/pytorch-image-models (Apache-2.0).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from edgepress.backbones.features import Backbone, Features, in_order, measured
from edgepress.errors import UserError, nearest
from edgepress.params import Config
from edgepress.records.inputs import InputSpec

Value = int | float | str | bool


class Params(Config):
    """Which model, and whether its published weights are fetched."""

    method: Literal["timm"]
    model: str = Field(min_length=1)
    """Name as in timm.list_models(), for example mobilenetv3_small_050."""
    pretrained: bool = False
    """Start from the published weights; needs the model hub once."""
    arguments: dict[str, Value | list[Value]] = {}
    """Further keyword arguments of the model, for example {drop_path_rate: 0.1}."""


class Timm(Backbone):
    """A timm model without its classifier."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model made with `num_classes=0` or `features_only=True`."""
        super().__init__()
        self.model = model
        self.last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        """Whether maps come with their channels last, as Swin's do."""

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Map images [N, C, H, W] to pooled features [N, D] or to maps."""
        found = self.model(x)
        if self.last and isinstance(found, list | tuple):
            return [each.permute(0, 3, 1, 2) for each in found]
        return found  # type: ignore[no-any-return]

    def depths(self) -> dict[str, int]:
        """Return timm's own layer numbers where the model has them, else those in order."""
        from timm.models import group_parameters

        matcher: Any = getattr(self.model, "group_matcher", None)
        layers: dict[str, int] = (
            in_order(self.model)
            if matcher is None
            else group_parameters(self.model, matcher(coarse=False), reverse=True)
        )
        return {f"model.{name}": depth for name, depth in layers.items()}


def build(spec: InputSpec, features: Features, *, params: Params) -> Backbone:
    """Return the timm model; unknown names and sizes it cannot take are refused."""
    config = published(params.model)
    arguments: dict[str, Any] = dict(params.arguments)
    if config.get("fixed_input_size"):
        arguments.setdefault("img_size", (spec.height, spec.width))
    arguments.update({"features_only": True} if features == "maps" else {"num_classes": 0})
    model = _create(params, spec, arguments)
    side = "x".join(map(str, config.get("input_size", (3, 224, 224))[1:]))
    sizes = f"; it was published for {side}" + (
        f", least {config['min_input_size'][1]}" if config.get("min_input_size") else ""
    )
    return measured(
        Timm(model),
        spec,
        f"timm model {params.model!r}",
        f"{sizes}; take such a size or another model",
    )


def published(name: str) -> dict[str, Any]:
    """Return what timm says of a model: input_size, fixed_input_size, classifier and more."""
    import timm

    known = timm.list_models()
    if name.split(".")[0] not in known:
        raise UserError(f"timm has no model {name!r}{nearest(name, known)}; see timm.list_models()")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        architecture, _, tag = name.partition(".")
        tags = timm.list_pretrained(f"{architecture}.*")
        raise UserError(
            f"timm model {architecture!r} has no weights {tag!r}; it has "
            f"{', '.join(each.partition('.')[2] for each in tags) or 'none'}"
        ) from None
    return {} if config is None else dict(config.to_dict())


def _create(params: Params, spec: InputSpec, arguments: dict[str, Any]) -> nn.Module:
    import timm

    try:
        model: nn.Module = timm.create_model(
            params.model, pretrained=params.pretrained, in_chans=spec.channels, **arguments
        )
    except Exception as error:  # timm's models raise nearly anything on what they cannot do.
        if params.pretrained and not isinstance(error, TypeError | ValueError | AssertionError):
            raise UserError(
                f"the pretrained weights of timm model {params.model!r} cannot be had: "
                f"{type(error).__name__}: {error}; connect to the model hub, put the weights into "
                "its cache, or set pretrained: false"
            ) from None
        raise UserError(
            f"timm model {params.model!r} cannot be made for {spec.height} x "
            f"{spec.width} with arguments {arguments}: {type(error).__name__}: {error}; "
            "change input or arguments, or choose another model"
        ) from None
    return model
