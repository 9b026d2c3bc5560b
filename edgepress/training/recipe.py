"""Recipe: what every method that trains by the loop has in its parameters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgepress.methods import Choice, Method
from edgepress.params import Config
from edgepress.training import machine
from edgepress.training.changes import Augment


class Recipe(Config):
    """How long, by which steps, on which images."""

    epochs: int = Field(ge=1, le=10_000)
    """Passes over the training images."""
    batch: int = Field(ge=2, le=65_536)
    """Images per step."""
    learning_rate: float = Field(gt=0, le=10)
    """Peak of the schedule; what is right depends on the optimizer."""
    weight_decay: float = Field(ge=0, le=1)
    """How far weights are pulled to zero; biases and normalisation are left out."""
    optimizer: Annotated[Method, Choice("training.optimizers")]
    """What makes steps of gradients: `edgepress methods training.optimizers`."""
    schedule: Annotated[Method, Choice("training.schedules")]
    """How the learning rate goes with time: `edgepress methods training.schedules`."""
    augment: Augment
    """Random changes of the training images: none, shift, flip_shift, or a mapping of changes."""
    precision: machine.Precision
    """fp32, bf16 (autocast), or auto: bf16 where the hardware has it."""
    compile: bool = False
    """Compile the network with torch.compile; pays on long runs only."""
