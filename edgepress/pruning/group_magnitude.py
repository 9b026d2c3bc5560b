"""Structured channel pruning by group L2 magnitude over the dependency graph, then fine-tuning.

Paper: DepGraph, Fang et al. 2023, https://arxiv.org/abs/2301.12900; its graph is the torch-
pruning library's. Channels that depend on each other (through shortcuts, normalisation,
concatenation) leave together.
"""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from edgepress.bundles import surgery
from edgepress.bundles.bundle import refuse_changed
from edgepress.bundles.network import named
from edgepress.errors import UserError
from edgepress.pruning.slimmed import Slimmed
from edgepress.records.tensors import TensorSpec
from edgepress.training.criterion import criterion
from edgepress.training.loop import Batch, Job, fit
from edgepress.training.recipe import Recipe

LIMIT_S: Final = 120.0
"""Seconds after which a cut that has not ended is given up."""
_ADVICE: Final = "set slim: {method: none} or choose another network"


class Params(Recipe):
    """How much to cut, how to round, and the recipe of the fine-tuning."""

    method: Literal["group_magnitude"]
    ratio: float = Field(gt=0, lt=1)
    """Share of channels to remove from every group, before rounding."""
    round_to: int = Field(ge=1, le=256)
    """Channel counts stay multiples of this; 8 suits most INT8 kernels."""
    scope: Literal["uniform", "global"]
    """uniform removes the ratio in every group; global ranks all groups together."""


def prune(job: Job, *, params: Params) -> Slimmed:
    """Prune job.network, fine-tune it by the task's loss, and return it with its surgery."""
    job.progress("cutting channels", 0, 0)
    fresh = copy.deepcopy(job.network)
    with _refusing():
        _cut(job, params)
    steps = surgery.difference(fresh, job.network)
    if not steps:
        raise UserError(_nothing(fresh, params))
    rebuilt = copy.deepcopy(fresh)
    surgery.replay(rebuilt, steps)
    try:
        rebuilt.load_state_dict(job.network.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"slim: the cut network cannot be built again ({error}); {_ADVICE}"
        ) from None
    refuse_changed(job.network, rebuilt, job.train.spec, "slim")
    names = tuple(output.name for output in job.learner.outputs(job.train.spec))
    cost = criterion(job, params)

    def objective(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return cost(named(network(batch.inputs), names), batch.truth)

    return Slimmed(job.network, steps, fit(job, params, objective))


def _nothing(network: nn.Module, params: Params) -> str:
    """Say why nothing was cut: rounding keeps every channel, or no group would keep any."""
    widths = [_width(m) for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    wide = [width for width in widths if width > params.round_to]
    if wide and all(width * (1 - params.ratio) < params.round_to for width in wide):
        return (
            f"slim: ratio {params.ratio} is too high: rounded to {params.round_to}, groups would "
            "keep no channel and are left whole; lower ratio or round_to, or set method: none"
        )
    return (
        f"slim: ratio {params.ratio} removes nothing once channels are rounded to "
        f"{params.round_to}; raise ratio, lower round_to, or set method: none"
    )


def _cut(job: Job, params: Params) -> None:
    import torch_pruning

    network = job.network.cpu().train(mode=False)
    spec = job.train.spec
    pruner = torch_pruning.pruner.BasePruner(
        network,
        torch.zeros(spec.shape),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=params.ratio,
        global_pruning=params.scope == "global",
        round_to=params.round_to,
        ignored_layers=_last(network, job.learner.outputs(spec)),
    )
    pruner.step()
    with torch.inference_mode():
        network(torch.zeros(spec.shape))


def _last(network: nn.Module, outputs: tuple[TensorSpec, ...]) -> list[nn.Module]:
    """Return the head's layers whose output is as wide as one of the task's: they must stay so.

    A model with a head of its own has it anywhere.
    """
    widths = {
        size
        for output in outputs
        for size, letter in zip(output.shape, output.layout, strict=True)
        if letter in "CL"
    }
    head, whole = (
        [m for m in part.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        for part in (getattr(network, "head", network), network)
    )
    layers = head or whole
    return [m for m in layers if _width(m) in widths]


def _width(layer: nn.Module) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else int(layer.out_channels)  # type: ignore[arg-type]


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever the cut raises, or its never ending, into a refusal in one line."""
    watched = threading.current_thread() is threading.main_thread()
    before: Any = signal.signal(signal.SIGALRM, _expire) if watched else None
    if watched:
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # torch-pruning fails in as many ways as there are networks.
        what = str(error) or type(error).__name__
        raise UserError(
            f"slim: group_magnitude cannot cut this network: {what}; {_ADVICE}"
        ) from None
    finally:
        if watched:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _expire(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"no end of its dependency graph after {LIMIT_S:.0f} s")
