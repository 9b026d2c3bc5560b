"""QuantizeJob and Quantization: what a quantization method gets, and what it decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepress.data.images import ImageSet
from edgepress.quantization.calibration_set import CalibrationSet
from edgepress.records.bundle import Bundle, Step
from edgepress.records.quantized import Recipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class QuantizeJob:
    """One float network to be prepared for a precision."""

    network: nn.Module
    """Float32, eval mode, on the CPU; a method that trains works on a copy."""
    bundle: Bundle
    images: ImageSet
    """The kept training images, encoded until they are read."""
    seed: int

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Layers that the network's head wants left in float at INT8."""
        return tuple(getattr(self.network, "float_layers", ()))


@dataclass(frozen=True)
class Quantization:
    """What the exporters are to write; `network` is the job's own unless the method changed it."""

    recipe: Recipe
    network: nn.Module
    calibration: CalibrationSet | None
    surgery: tuple[Step, ...] = ()
    """Shape changes the method made, to be replayed after the Bundle's own."""
