"""Bundle: a model as a folder, model.json beside weights.safetensors."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgepress.records.inputs import InputSpec
from edgepress.records.record import Record

WEIGHTS = "weights.safetensors"


class Resize(BaseModel):
    """One replayable surgery step: the new shapes and size attributes of one module."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["resize"] = "resize"
    module: str
    """Dotted name in the network."""
    attributes: dict[str, int | tuple[int, ...]]
    """Size attributes to set, for example out_channels, normalized_shape."""
    shapes: dict[str, tuple[int, ...]]
    """Parameter or buffer name -> new shape."""


class Insert(BaseModel):
    """A new module under a name that was free, or in place of the one that was there."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["insert"] = "insert"
    module: str
    """Dotted name of the new module."""
    layer: str
    """Its class: a name in torch.nn, or `edgepress.<room>.<file>:<Class>`."""
    arguments: dict[str, int | float | bool | str | tuple[int, ...]]
    """Keyword arguments of the class."""


class Drop(BaseModel):
    """A module that is passed over from now on: it becomes the identity."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["drop"] = "drop"
    module: str
    """Dotted name in the network."""


class Fold(BaseModel):
    """A normalisation folded into the layer before it, which gains a bias, and dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["fold"] = "fold"
    into: str
    """Dotted name of the convolution or linear layer."""
    module: str
    """Dotted name of the normalisation."""


Step = Annotated[Resize | Insert | Drop | Fold, Field(discriminator="kind")]


class Bundle(Record):
    """Everything needed to rebuild a network, surgery and all, without pickle."""

    file_name: ClassVar[str] = "model.json"
    schema_version: int = 2

    task: dict[str, Any]
    """The params.yaml entry of the task: its method and arguments."""
    backbone: dict[str, Any]
    """The params.yaml entry that names the backbone's method and arguments."""
    head: dict[str, Any]
    """The params.yaml entry that names the head's method and arguments."""
    classes: tuple[str, ...] = Field(min_length=1)
    """What the numbers of a label stand for, in order."""
    input: InputSpec
    surgery: tuple[Step, ...] = ()
    """Changes to replay on a freshly built network before its weights are loaded."""
    parameters: int
    """Number of weights of the network as it stands."""
    macs: int
    """Multiply-accumulates of one item: products that are summed, attention's among them."""
    products: int | None = None
    """Element-wise products of one item, a scan's steps among them; None where not counted."""
    uncounted: tuple[str, ...] = ()
    """Operators that may multiply and that `macs` cannot say: there it is a lower bound."""
    lineage: dict[str, str]
    """What it was made from: stage, seed, sha256 of each input."""
    weights_sha256: str
