"""InputSpec: what a model expects of an image, in training, calibration, export and on devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from edgepress.records.tensors import TensorSpec


class Crop(BaseModel):
    """The middle of a picture, as torchvision and timm judge classifiers."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    crop: float = Field(gt=0, le=1)
    """The input's share of the resized picture's shorter side, timm's crop_pct: 0.875 for 224
    pixels out of 256."""


def _fit(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        raise ValueError(
            "expected stretch, letterbox or {crop: SHARE}, a share above 0 and at most 1"
        ) from None


Fit = Annotated[Literal["stretch", "letterbox"] | Crop, WrapValidator(_fit)]


class InputSpec(BaseModel):
    """Shape and preprocessing of a model's input: resize, scale to 0..1, then (x - mean) / std."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    height: int = Field(gt=0)
    """Pixels."""
    width: int = Field(gt=0)
    """Pixels."""
    channels: Literal[1, 3]
    """1 is grey, 3 is RGB in that order."""
    mean: tuple[float, ...]
    """Per channel, on the 0..1 scale: from 0 to 1."""
    std: tuple[float, ...]
    """Per channel, on the 0..1 scale: above 0, at most 1."""
    resize: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    """Pillow's antialiased filter of that name."""
    fit: Fit = "stretch"
    """stretch resizes straight to (height, width); letterbox keeps the proportions, centres the
    picture and fills what is left with the grey level 114; {crop: SHARE} keeps them too and takes
    the middle."""
    draft: bool = False
    """Whether whole JPEGs are decoded at a half, a quarter or an eighth of their size where that
    leaves twice the input's pixels on both sides: several times faster, on photographs a grey level
    off here and there."""

    @model_validator(mode="after")
    def _one_mean_and_std_per_channel_on_the_scale(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} value(s), one per channel")
        for name, values in (("mean", self.mean), ("std", self.std)):
            for value in values:
                if not 0 <= value <= 1:  # nan neither
                    raise ValueError(
                        f"{name} {value:g} is not on the 0..1 scale; divide those of 0..255 by 255"
                    )
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, got {min(self.std):g}")
        return self

    @model_validator(mode="after")
    def _draft_before_a_mean(self) -> Self:
        if self.draft and self.resize == "nearest":
            raise ValueError("draft averages pixels and nearest does not: set draft: false")
        return self

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """What the network takes: one tensor `image`, float32 NCHW."""
        return (TensorSpec(name="image", shape=self.shape, layout="NCHW"),)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The NCHW shape of a batch of one."""
        return (1, self.channels, self.height, self.width)
