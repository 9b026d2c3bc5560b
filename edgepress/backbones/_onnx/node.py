"""Node: one ONNX operator as its readers see it, attributes and constant inputs alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.backbones._onnx.graph import Value
from edgepress.errors import UserError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Node:
    """One operator of a graph whose shapes are all known."""

    operator: str
    opset: int
    inputs: tuple[str, ...]
    """Empty where an optional input is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    constants: Mapping[str, Array]
    """Tensors of the whole graph that do not depend on the image."""
    shapes: Mapping[str, tuple[int, ...]]

    def has(self, at: int) -> bool:
        """Say whether the input of that number is given."""
        return at < len(self.inputs) and bool(self.inputs[at])

    def constant(self, at: int) -> Array | None:
        """Return an input that is a constant; None where it is left out or computed."""
        return self.constants.get(self.inputs[at]) if self.has(at) else None

    def weight(self, at: int) -> Array:
        """Return an input that has to be a constant."""
        found = self.constant(at)
        if found is None:
            raise self.refused(f"computes its input number {at}, which has to be a constant")
        return found

    def option(self, name: str, at: int, default: Any = None) -> Any:
        """Return what older operators have as an attribute and newer ones as a constant input."""
        if name in self.attributes:
            return self.attributes[name]
        return self.weight(at).tolist() if self.has(at) else default

    def shape(self, at: int = 0) -> tuple[int, ...]:
        """Return an input's shape."""
        return self._shape(self.inputs[at])

    def given(self, at: int = 0) -> tuple[int, ...]:
        """Return an output's shape."""
        return self._shape(self.outputs[at])

    def refused(self, why: str) -> UserError:
        """Return the refusal of the whole graph over this node."""
        return UserError(f"its operator {self.operator} (gives {self.outputs[0]!r}) {why}")

    def _shape(self, name: str) -> tuple[int, ...]:
        if name in self.constants:
            return tuple(np.shape(self.constants[name]))
        if name not in self.shapes:
            raise self.refused(f"is of unknown shape at {name!r}")
        return self.shapes[name]


@dataclass(frozen=True)
class Reading:
    """What a node comes to here."""

    inputs: tuple[str, ...]
    """Values and constants that it takes when it runs."""
    arguments: dict[str, Value] = field(default_factory=dict)
    tensors: dict[str, Array] = field(default_factory=dict)
    """Weights of its layer by their names in it."""


@dataclass(frozen=True)
class Operator:
    """One operator of ONNX: how it is read from a file, and what computes it in torch."""

    read: Callable[[Node], Reading]
    make: Callable[..., Callable[..., Any]]
    """Arguments of a reading to a function of its inputs, or to a layer with weights."""


def pointwise(function: Callable[..., Any]) -> Operator:
    """Return an operator that takes all its inputs and nothing else."""
    return Operator(lambda node: Reading(node.inputs), lambda: function)
