"""Graph: what an ONNX file computes, as data that a Bundle holds; its weights lie elsewhere."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgepress.params import Config

Value = int | float | str | bool | None | tuple[int, ...] | tuple[int | None, ...]
IMAGE = "image"
"""Name of the one value that a graph is given, [1, C, H, W]."""


class Step(Config):
    """One operator of the graph."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """Unique; where the operator has weights, the name of its layer."""
    operator: str
    """As ONNX names it."""
    inputs: tuple[str, ...]
    """Values and constants it takes, in order."""
    outputs: tuple[str, ...] = Field(min_length=1)
    """Values it gives."""
    arguments: dict[str, Value] = {}
    """What else its implementation here is given."""


class Constant(Config):
    """A tensor that steps take beside the values: a position embedding, a scale."""

    shape: tuple[int, ...]
    dtype: Literal["float32", "int64", "bool"]

    @property
    def learnt(self) -> bool:
        """Whether training may change it; single numbers are part of a formula."""
        count = 1
        for size in self.shape:
            count *= size
        return self.dtype == "float32" and count > 1


class Graph(Config):
    """Steps in the order in which they run, each image on its own."""

    steps: tuple[Step, ...] = Field(min_length=1)
    constants: dict[str, Constant] = {}
    outputs: tuple[str, ...] = Field(min_length=1)
    """Values that are the network's answer."""
