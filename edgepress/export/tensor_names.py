"""The network as a torch graph whose tensors are found by the names a method knows.

A parameter has its name in the network's state, `backbone.conv1.weight`; an activation has the name
of the module that gives it, `backbone.conv1`, or of an input, `image`. A module that is called more
than once gives several tensors of one name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from edgepress.errors import UserError, nearest
from edgepress.export.export_job import ExportJob


@dataclass(frozen=True)
class NamedGraph:
    """A float graph; exporters may change it, the job's network is left alone."""

    module: fx.GraphModule
    """Weights are `get_attr` nodes; takes and gives what the job's network does."""
    weights: dict[str, tuple[fx.Node, ...]]
    """Parameter -> its node."""
    activations: dict[str, tuple[fx.Node, ...]]
    """Input, or module of the recipe -> the nodes that give its values."""


def named_graph(job: ExportJob, names: Iterable[str]) -> NamedGraph:
    """Trace the network and find `names` in it; an unknown name is a UserError."""
    inputs = [spec.name for spec in job.inputs]
    parameters = {name for name, _ in job.model.named_parameters()}
    known = [name for name in names if name not in inputs]
    prefix = _prefix(job.model, [*known, *job.quantized.recipe.float_layers])
    modules = []
    for name in names:
        if prefix + name not in parameters and name not in inputs:
            _check(job, prefix + name)
            modules.append(name)
    watched = _Watched(job.model, {name: prefix + name for name in modules})
    program = torch.export.export(watched, job.zeros(), strict=False)
    module: Any = program.module(check_guards=False)
    activations = _trim(module)
    for name, nodes in activations.items():
        if not nodes:
            raise UserError(
                f"target {job.target}: recipe: {name} is never called or gives no tensor"
            )
    takes = [node for node in module.graph.nodes if node.op == "placeholder"]
    activations |= {name: (node,) for name, node in zip(inputs, takes, strict=True)}
    start = f"model.{prefix}"
    weights: dict[str, tuple[fx.Node, ...]] = {
        str(node.target).removeprefix(start): (node,)
        for node in module.graph.nodes
        if node.op == "get_attr"
    }
    return NamedGraph(module, weights, activations)


def paths(job: ExportJob, names: Collection[str]) -> dict[str, str]:
    """Return where modules of the recipe are in the job's network; an unknown one is a UserError.

    They differ where the job's network wraps the one the recipe speaks of.
    """
    prefix = _prefix(job.model, list(names))
    for name in names:
        _check(job, prefix + name)
    return {name: prefix + name for name in names}


class _Watched(nn.Module):
    """A network that gives, after its own outputs, those of some of its modules by name."""

    def __init__(self, model: nn.Module, paths: dict[str, str]) -> None:
        super().__init__()
        self.model = model
        self.paths = paths

    def forward(self, *inputs: Tensor) -> tuple[Any, dict[str, list[Tensor]]]:
        found: dict[str, list[Tensor]] = {name: [] for name in self.paths}

        def keep(name: str, value: Any) -> None:
            if isinstance(value, Tensor):
                found[name].append(value)

        hooks = [
            self.model.get_submodule(path).register_forward_hook(
                lambda _module, _inputs, output, name=name: keep(name, output)
            )
            for name, path in self.paths.items()
        ]
        try:
            return self.model(*inputs), found
        finally:
            for hook in hooks:
                hook.remove()


def _trim(module: fx.GraphModule) -> dict[str, tuple[fx.Node, ...]]:
    """Take the watched outputs off a graph and return their nodes by name."""
    graph: Any = module.graph
    end = graph.output_node()
    info = graph._codegen.pytree_info
    own, found = pytree.tree_unflatten(list(end.args[0]), info.out_spec)
    nodes, spec = pytree.tree_flatten(own)
    end.args = (tuple(nodes),)
    graph._codegen.pytree_info = info._replace(out_spec=spec)
    module.recompile()
    return {name: tuple(dict.fromkeys(each)) for name, each in found.items()}


def _prefix(model: nn.Module, names: list[str]) -> str:
    """Return how names of the network begin in `model`, which may wrap it."""
    starts = ["", *(f"{name}." for name, _ in model.named_children())]
    known = {name for name, _ in (*model.named_parameters(), *model.named_modules())}
    return max(starts, key=lambda start: sum(start + name in known for name in names))


def _check(job: ExportJob, path: str) -> None:
    known = [name for name, _ in job.model.named_modules() if name]
    if path not in known:
        everything = [*known, *(name for name, _ in job.model.named_parameters())]
        raise UserError(
            f"target {job.target}: recipe: {path!r} is no parameter, module or input of the network"
            f"{nearest(path, everything)}"
        )
