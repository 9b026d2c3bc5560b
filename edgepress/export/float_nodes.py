"""Nodes of an ONNX graph that stay in float: a recipe's float layers and all that follows them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from edgepress.export.export_job import ExportJob
from edgepress.export.float_layers import float_paths, refuse_missing, with_followers
from edgepress.export.toolchain import Toolchain

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter lists the modules that a node is within, outermost first."""


@dataclass(frozen=True)
class FloatNodes:
    """Names of nodes.

    Who reads the file may add a part to a name, as in `MatMul_3/Fused`, or call the node that gives
    an output by the output's name.
    """

    layers: dict[str, tuple[str, ...]]
    """Float layer -> its nodes with weights."""
    nodes: frozenset[str]
    """These, the other nodes of the layers and all that follow."""
    outputs: dict[str, str]
    """Output of the network -> the node that gives it."""

    def holds(self, name: str) -> bool:
        """Say whether a reader's step is one of the nodes or was made of one."""
        return self._node(name) in self.nodes

    def refuse_lost(self, names: Iterable[str], holds: Toolchain) -> None:
        """Raise a NotExportedError where a reader's steps show a layer's nodes no more."""
        kept = {self._node(name) for name in names}
        found = {layer for layer, own in self.layers.items() if kept >= set(own)}
        refuse_missing(holds, self.layers, found)

    def _node(self, name: str) -> str:
        whole = name.partition("/")[0]
        return self.outputs.get(whole, whole)


NO_FLOATS = FloatNodes({}, frozenset(), {})


def name_of(index: int, node: Any) -> str:
    """Return what a node is called in the files: by its operator and its place."""
    return f"{node.op_type}_{index}"


def float_nodes(job: ExportJob, model: Any, holds: Toolchain) -> FloatNodes:
    """Find the nodes in what torch's exporter wrote, by the modules they say they are within."""
    layers: dict[str, tuple[str, ...]] = {}
    first: set[int] = set()
    for layer, path in float_paths(job).items():
        own = [at for at, node in enumerate(model.graph.node) if _is_of(node, path)]
        weighted = [at for at in own if model.graph.node[at].op_type in _WEIGHTED]
        refuse_missing(holds, [layer], [layer] if weighted else [])
        layers[layer] = tuple(name_of(at, model.graph.node[at]) for at in weighted)
        first.update(own)
    nodes = {at: name_of(at, node) for at, node in enumerate(model.graph.node)}
    ends = {each.name for each in model.graph.output}
    outputs = {
        made: nodes[at] for at in nodes for made in model.graph.node[at].output if made in ends
    }
    names = frozenset(nodes[at] for at in _with_followers(model, first))
    return FloatNodes(layers, names, outputs)


def still_float(model: Any, floats: FloatNodes, holds: Toolchain) -> list[str]:
    """Find them again in a graph that ONNX Runtime rewrote; return their names there."""
    nodes = model.graph.node
    floats.refuse_lost((node.name for node in nodes), holds)
    first = {at for at, node in enumerate(nodes) if floats.holds(node.name)}
    return [nodes[at].name for at in sorted(_with_followers(model, first))]


def _is_of(node: Any, path: str) -> bool:
    said = {each.key: each.value for each in node.metadata_props}.get(_SCOPES, "[]")
    return path in ast.literal_eval(said) or any(
        given.startswith(f"{path}.") for given in node.input
    )


def _with_followers(model: Any, first: Collection[int]) -> set[int]:
    takers: dict[str, list[int]] = {}
    for at, node in enumerate(model.graph.node):
        for given in node.input:
            takers.setdefault(given, []).append(at)

    def after(at: int) -> list[int]:
        return [each for made in model.graph.node[at].output for each in takers.get(made, ())]

    return with_followers(first, after)
