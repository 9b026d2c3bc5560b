"""Toolchain: what a target's format can hold of a recipe; the rest is refused by name."""

from __future__ import annotations

from dataclasses import dataclass

from edgepress.export.export_job import NotExportedError
from edgepress.records.quantized import TensorScale


@dataclass(frozen=True)
class Toolchain:
    """Integers are signed, of 8 or 4 bits; 16 bits are float16, 32 are float32."""

    name: str
    weight_bits: tuple[int, ...] = (4, 8, 32)
    activation_bits: tuple[int, ...] = (8, 32)
    weight_zero_points: bool = False
    """Weights may have zero points other than 0."""
    activation_zero_points: bool = True
    """Activations may have zero points other than 0."""
    activation_axes: bool = False
    """Activations may have a scale per slice."""
    folds_weights: bool = False
    """It makes integers of float weights itself, where a quantize step follows them."""
    weights_alone: bool = True
    """A weight may be integers where its layer's input or output is not."""
    floats_between: bool = True
    """A weight may be float where its layer's input and output are integers."""

    def check(self, name: str, how: TensorScale, *, weight: bool) -> None:
        """Raise a NotExportedError that names tensor and value where `how` cannot be held."""
        kind = "weight" if weight else "activation"
        bits = self.weight_bits if weight else self.activation_bits
        points = self.weight_zero_points if weight else self.activation_zero_points
        if how.bits not in bits:
            raise self.cannot(name, f"{how.bits} bits", f"{kind}s have {_listed(bits)}")
        if not points and any(how.zero_point or ()):
            wrong = next(point for point in how.zero_point or () if point)
            raise self.cannot(name, f"zero point {wrong}", f"{kind}s have 0")
        if not (weight or self.activation_axes or how.axis is None):
            raise self.cannot(name, f"a scale per slice of axis {how.axis}", f"{kind}s have one")

    def cannot(self, name: str, value: str, rule: str) -> NotExportedError:
        """Return the refusal of one tensor."""
        return NotExportedError(f"{self.name} cannot hold {name} with {value}: there, {rule}")


def _listed(bits: tuple[int, ...]) -> str:
    return " or ".join(map(str, bits)) + " bits"
