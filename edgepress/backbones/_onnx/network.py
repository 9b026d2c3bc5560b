"""Network: the steps of a graph as a torch module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from edgepress.backbones._onnx.graph import IMAGE, Graph
from edgepress.backbones._onnx.table import OPERATORS
from edgepress.errors import UserError


class GraphNetwork(nn.Module):
    """A graph made for one image; a batch is mapped over, as one computation.

    No step looks at its tensors' shapes, so that torch.fx traces it, as Core ML's quantizer does.
    """

    one_image = True
    """A graph of it that torch.export makes is for one image; one of any number cannot be made."""

    def __init__(self, graph: Graph) -> None:
        """Build the steps, their weights zero or of chance; one that is unknown is a UserError."""
        super().__init__()
        self.graph = graph
        self.layers = nn.ModuleDict()
        self.constants = nn.Module()
        for name, constant in graph.constants.items():
            blank = torch.zeros(constant.shape, dtype=getattr(torch, constant.dtype))
            if constant.learnt:
                self.constants.register_parameter(name, nn.Parameter(blank))
            else:
                self.constants.register_buffer(name, blank)
        self._functions: dict[str, Callable[..., Any]] = {}
        for step in graph.steps:
            if step.operator not in OPERATORS:
                raise UserError(f"step {step.name}: no operator {step.operator!r}; wrong version?")
            try:
                made = OPERATORS[step.operator].make(**step.arguments)
            except (TypeError, KeyError, ValueError) as error:
                raise UserError(f"step {step.name}: {step.operator}: {error}") from None
            if isinstance(made, nn.Module):
                self.layers[step.name] = made
            else:
                self._functions[step.name] = made
        self._last = {name: step.name for step in graph.steps for name in step.inputs}

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map images [N, C, H, W] to the graph's outputs, each [N, ...]."""
        if isinstance(images, fx.Proxy) or images.shape[0] == 1:
            return self._one(images)
        found = torch.func.vmap(self._one)(images.unsqueeze(1))
        return found.squeeze(1) if isinstance(found, Tensor) else tuple(x.squeeze(1) for x in found)

    def _one(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        values: dict[str, Tensor] = {IMAGE: image}
        kept = set(self.graph.outputs)
        for step in self.graph.steps:
            inputs = [self._value(values, name) for name in step.inputs]
            call = self._functions.get(step.name) or self.layers[step.name]
            found = call(*inputs)
            for name in step.inputs:
                if self._last[name] == step.name and name not in kept:
                    values.pop(name, None)
            if len(step.outputs) == 1:
                values[step.outputs[0]] = found
            else:
                values.update((name, found[at]) for at, name in enumerate(step.outputs))
        outputs = tuple(values[name] for name in self.graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _value(self, values: dict[str, Tensor], name: str) -> Tensor:
        found: Tensor = values[name] if name in values else getattr(self.constants, name)
        return found
