"""InputSpec: what a model expects of an image, shared by training, calibration, export and devices."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
    """Per channel, on the 0..1 scale."""
    std: tuple[float, ...]
    """Per channel, on the 0..1 scale."""
    resize: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    """Pillow's antialiased filter of that name, straight to (height, width)."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The NCHW shape of a batch of one."""
        return (1, self.channels, self.height, self.width)
