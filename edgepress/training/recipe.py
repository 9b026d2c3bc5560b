"""Recipe: what every method that trains by the loop has in its parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from edgepress.methods import Choice, Method
from edgepress.params import Config
from edgepress.training import machine
from edgepress.training.changes import Augment
from edgepress.training.engines import local
from edgepress.training.freezing import Freeze
from edgepress.training.optimizers import sgd
from edgepress.training.samplers import uniform
from edgepress.training.schedules import one_cycle
from edgepress.training.weights import ClassWeights

_SGD = sgd.Params(method="sgd", momentum=0.9, nesterov=True)
_ONE_CYCLE = one_cycle.Params(method="one_cycle", warmup=0.15)
_UNIFORM = uniform.Params(method="uniform")
_LOCAL = local.Params(method="local")
"""Where a recipe names no parts, as recipes did before there were any. Fields make their methods
of them when asked, since a method is no JSON that a schema could show."""

MOST = 65_536
"""Images of a step."""


def _batch(raw: Any) -> Any:
    number = isinstance(raw, int) and not isinstance(raw, bool)
    if raw != "auto" and not (number and 2 <= raw <= MOST):
        raise ValueError(f"expected an integer from 2 to {MOST}, or auto")
    return raw


_Images = Annotated[int, Field(ge=2, le=MOST)] | Literal["auto"]
Batch = Annotated[int | Literal["auto"], PlainValidator(_batch, json_schema_input_type=_Images)]
"""A number, or auto."""


class Recipe(Config):
    """How long, by which steps, on which images."""

    base: str | None = None
    """A named recipe, whose keys hold where an entry has none of its own: `edgepress methods
    training.recipes`; null is none."""
    epochs: int = Field(ge=1, le=10_000)
    """Passes over the training images."""
    batch: Batch
    """Images per step; auto, on a GPU alone, is the largest power of two that its memory holds."""
    learning_rate: float = Field(gt=0, le=10)
    """Peak of the schedule; what is right depends on the optimizer."""
    weight_decay: float = Field(ge=0, le=1)
    """How far weights are pulled to zero; biases and normalisation are left out."""
    optimizer: Annotated[Method, Choice("training.optimizers")] = Field(
        default_factory=lambda: Method("training.optimizers", "sgd", sgd, _SGD)
    )
    """What makes steps of gradients: `edgepress methods training.optimizers`."""
    schedule: Annotated[Method, Choice("training.schedules")] = Field(
        default_factory=lambda: Method("training.schedules", "one_cycle", one_cycle, _ONE_CYCLE)
    )
    """How the learning rate goes with time: `edgepress methods training.schedules`."""
    loss: Annotated[Method | None, Choice("training.losses", optional=True)] = None
    """What a wrong answer costs, where the task learns classes: `edgepress methods
    training.losses`; null is the task's own."""
    class_weights: ClassWeights = "none"
    """How much each class counts in the loss: none, balanced, effective_number, or a mapping class:
    weight, in which a class that is not named has 1."""
    sampler: Annotated[Method, Choice("training.samplers")] = Field(
        default_factory=lambda: Method("training.samplers", "uniform", uniform, _UNIFORM)
    )
    """How often each image is seen: `edgepress methods training.samplers`."""
    freeze: Freeze | None = None
    """What of the backbone learns nothing for a first share of the steps; null freezes nothing."""
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    """What a layer's learning rate is of the next one's, from the head down to the input; null
    gives all the same."""
    clip: float | None = Field(default=None, gt=0)
    """Largest norm of all gradients together: longer ones are cut to it; null cuts none."""
    accumulate: int = Field(default=1, ge=1, le=4096)
    """Passes that a step's images are split into, which need as many times less memory."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """What remains at each step of the moving average of weights that is judged and delivered;
    null averages none."""
    keep: Literal["last", "best"] = "last"
    """Weights of the last epoch, or of the one with the best first score on val."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better first score on val after which the run stops; null never stops."""
    augment: Augment
    """Random changes of the training images: none, shift, flip_shift, or a mapping of changes."""
    precision: machine.Precision
    """fp32, bf16 (autocast), fp16 (autocast with a scaled loss, on CUDA devices alone), or auto:
    bf16 where the hardware has it."""
    checkpointing: bool = False
    """Keep of each block of the network its input alone and compute the rest again for its
    gradients: less memory, a third more time, the same weights."""
    compile: bool = False
    """Compile the network with torch.compile; pays on long runs only."""
    engine: Annotated[Method, Choice("training.engines")] = Field(
        default_factory=lambda: Method("training.engines", "local", local, _LOCAL)
    )
    """Who starts the workers that train together: `edgepress methods training.engines`."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.compile and self.checkpointing:
            raise ValueError("compile and checkpointing do not go together; set one to false")
        return self

    @model_validator(mode="after")
    def _two_images(self) -> Self:
        workers = getattr(self.engine.params, "workers", 1)
        if self.batch == "auto":
            if workers > 1:
                raise ValueError("batch auto is found by one process; name a number with workers")
            return self
        passes = self.accumulate * workers
        if 1 < passes > self.batch // 2:
            several = f" on {workers} workers" if workers > 1 else ""
            raise ValueError(
                f"accumulate {self.accumulate}{several} leaves a pass fewer than 2 of "
                f"{self.batch} images"
            )
        return self
