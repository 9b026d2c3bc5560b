"""Any optimizer of timm.optim by its name, torch's own among them; importing it takes seconds.

Library: https://github.com/huggingface/pytorch-image-models (Apache-2.0). `lookahead_` before a
name puts Lookahead around it (Zhang et al. 2019, https://arxiv.org/abs/1907.08610).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from edgepress.errors import nearest
from edgepress.params import Config
from edgepress.training.optimizers.optimizer import Group, Memory, Optimizer

Value = int | float | str | bool


class Params(Config):
    """Which optimizer, and its own arguments."""

    method: Literal["timm"]
    name: str = Field(min_length=1)
    """As in timm.optim.list_optimizers(), for example lamb or nadamw."""
    arguments: dict[str, Value | list[Value]] = {}
    """Further keyword arguments of the optimizer, for example {betas: [0.9, 0.98]}."""

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        from timm.optim import get_optimizer_info, list_optimizers

        name, known = self.name.removeprefix("lookahead_"), list_optimizers()
        if name not in known:
            raise ValueError(f"timm.optim has no {name}{nearest(name, known)}")
        if get_optimizer_info(name).second_order:
            raise ValueError(f"{name} needs second derivatives, which the loop does not take")
        weights = {"matrix": nn.Parameter(torch.ones(2, 2)), "vector": nn.Parameter(torch.ones(2))}
        try:
            made = _made([Group(weights, 0.1, 0.0)], self)
        except Exception as error:  # Other people's optimizers refuse arguments in many ways.
            raise ValueError(f"{self.name} cannot be made with {self.arguments}: {error}") from None
        if hasattr(made, "rng"):
            raise ValueError(f"{name} draws numbers of its own, which no resumed run would repeat")
        return self


class Timm:
    """An optimizer of torch's kind, its learning rates set before each step."""

    def __init__(self, groups: Sequence[Group], params: Params) -> None:
        """Make it for these parameters."""
        self._groups = groups
        self._inner = _made(groups, params)
        # Lookahead keeps nothing itself: all is in the optimizer that it is put around.
        self._held = getattr(self._inner, "_base_optimizer", self._inner)

    def step(self, share: float) -> None:
        """Move every parameter that has a gradient, at a share of its group's learning rate."""
        for group, ours in zip(self._inner.param_groups, self._groups, strict=True):
            group["lr"] = ours.rate * share
        self._inner.step()

    def memory(self) -> Memory:
        """Return what it holds of every parameter and of every group."""
        memory = Memory()
        for place, entry in self._entries():
            for key, value in entry.items():
                if isinstance(value, Tensor):
                    memory.tensors[f"{key}/{place}"] = value
                elif isinstance(value, int | float | str | None):
                    memory.plain[f"{key}/{place}"] = value
        return memory

    def recall(self, memory: Memory) -> None:
        """Put back what another held."""
        places = dict(self._entries(make=True))
        for name, value in {**memory.tensors, **memory.plain}.items():
            key, _, place = name.partition("/")
            places[place][key] = value

    def _entries(self, make: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """Return what is held of each parameter, and of each group by its number."""
        found = [(str(i), group) for i, group in enumerate(self._held.param_groups)]
        for name, parameter in (pair for group in self._groups for pair in group.named.items()):
            if make or parameter in self._held.state:
                found.append((f"/{name}", self._held.state[parameter]))
        return found


def build(groups: Sequence[Group], *, params: Params) -> Optimizer:
    """Return the optimizer of these parameters."""
    return Timm(groups, params)


def _made(groups: Sequence[Group], params: Params) -> torch.optim.Optimizer:
    from timm.optim import create_optimizer_v2

    entries = [
        {"params": list(each.named.values()), "lr": each.rate, "weight_decay": each.weight_decay}
        for each in groups
    ]
    peak = max(each.rate for each in groups)
    made: torch.optim.Optimizer = create_optimizer_v2(
        entries, opt=params.name, lr=peak, **params.arguments
    )
    return made
