"""Honour a recipe tensor by tensor: quantize and dequantize steps in the network's torch graph.

What a recipe gives is used as it is; what it leaves open is calibrated here: weights by their own
largest value, activations by the smallest and largest over the calibration images, streamed. Where
a recipe says nothing of an activation, the inputs and outputs of layers with weights and of
additions follow its `activations`, a ReLU taken into what comes before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import fx

from edgepress.errors import UserError
from edgepress.export import batch_norms, ranges
from edgepress.export.batch_norms import value
from edgepress.export.export_job import ExportJob
from edgepress.export.float_layers import float_paths, with_followers, within
from edgepress.export.qdq_steps import (
    Affine,
    around_activation,
    around_weight,
    half_activation,
    half_weight,
)
from edgepress.export.tensor_names import NamedGraph, named_graph
from edgepress.export.toolchain import Toolchain
from edgepress.records.quantized import TensorScale

_aten: Final[Any] = torch.ops.aten
_OUT_AXIS: Final[dict[Any, int]] = {
    _aten.conv1d.default: 0,
    _aten.conv2d.default: 0,
    _aten.conv2d.padding: 0,
    _aten.conv3d.default: 0,
    _aten.linear.default: 0,
    _aten.conv_transpose1d.default: 1,
    _aten.conv_transpose2d.input: 1,
    _aten.conv_transpose3d.input: 1,
}
"""Layer with weights -> the axis of its weight that counts output channels."""
_ADDITIONS: Final = (_aten.add.Tensor, _aten.add_.Tensor)
_RECTIFIERS: Final = (
    _aten.relu.default,
    _aten.relu_.default,
    _aten.hardtanh.default,
    _aten.hardtanh_.default,
)


@dataclass(frozen=True)
class _Tensor:
    """One tensor of the graph and how it is to be quantized."""

    name: str
    node: fx.Node
    how: TensorScale
    weight: bool

    @property
    def open(self) -> bool:
        """Say whether its integers' scale is still to be found."""
        return self.how.bits in (4, 8) and self.how.scale is None


@dataclass(frozen=True)
class Honoured:
    """The network with its recipe in it."""

    module: fx.GraphModule
    kept: dict[str, Affine]
    """Weights and given activations -> what the written file must hold of them."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Say which weights a file of 8-bit integers is too wide for."""
        names = [name for name, by in self.kept.items() if by.bits == 4]
        return (f"4 bits stored in 8: {', '.join(sorted(names))}",) if names else ()

    def check(self, toolchain: Toolchain, found: Iterable[tuple[Any, Any]]) -> None:
        """Compare scales and zero points of a written file; one that is not there is refused."""
        held = [(np.float32(scale), np.asarray(points)) for scale, points in found]
        for name, by in self.kept.items():
            scale, points = by.scale.numpy(), by.zero_point.numpy()
            if not any(_equal(scale, points, *each) for each in held):
                raise toolchain.cannot(
                    name, f"scale {scale[0]:.6g}", "it is not in the file the converter wrote"
                )


def honoured(job: ExportJob, toolchain: Toolchain) -> Honoured:
    """Return the network with its recipe in it; what the toolchain cannot hold: NotExportedError.

    A name the network has not, or scales that do not fit their tensor, are UserErrors.
    """
    graph = named_graph(job, job.quantized.recipe.tensors)
    given = _given(job, graph)
    for each in given:
        toolchain.check(each.name, each.how, weight=each.weight)
    gone = batch_norms.fold(graph.module, {each.node for each in given if each.how.scale})
    tensors = {gone.get(each.node, each.node): each for each in given}
    names = {gone.get(node, node): name for name, (node,) in graph.weights.items()}
    rest = _rest(job, graph.module, names)
    tensors |= {each.node: each for each in rest if each.node not in tensors}
    _check_layers(graph.module, tensors, names, toolchain)
    kept = _insert(job, graph.module, tensors, toolchain)
    graph.module.recompile()
    for part in graph.module.modules():
        part.training = False  # an exported module has no eval()
    return Honoured(graph.module, kept)


def _given(job: ExportJob, graph: NamedGraph) -> list[_Tensor]:
    found: dict[fx.Node, _Tensor] = {}
    for name, how in job.quantized.recipe.tensors.items():
        weight = name in graph.weights
        for node in (graph.weights if weight else graph.activations)[name]:
            _check_fit(job, name, how, node)
            held = found.setdefault(node, _Tensor(name, node, how, weight))
            if held.how != how:
                raise UserError(
                    f"target {job.target}: recipe: {held.name} and {name} are the same tensor with "
                    "different scales or bits; give one of them"
                )
    return list(found.values())


def _check_fit(job: ExportJob, name: str, how: TensorScale, node: fx.Node) -> None:
    held = node.meta["val"]
    where = f"target {job.target}: recipe: {name}"
    if not held.is_floating_point():
        raise UserError(f"{where} holds {held.dtype}, which has no scale; leave it out")
    if how.axis is None:
        return
    if not 0 <= how.axis < held.ndim:
        raise UserError(f"{where} has {held.ndim} axes, so none of number {how.axis}")
    if how.scale is not None and len(how.scale) != held.shape[how.axis]:
        raise UserError(
            f"{where} has {held.shape[how.axis]} slices along axis {how.axis}, "
            f"got {len(how.scale)} scales"
        )


def _rest(job: ExportJob, module: fx.GraphModule, names: dict[fx.Node, str]) -> Iterator[_Tensor]:
    """Yield what follows the recipe's general words."""
    recipe, layers = job.quantized.recipe, float_paths(job)
    own = [
        node
        for node in module.graph.nodes
        if node.target in _OUT_AXIS and within(names.get(node.args[1], ""), layers)
    ]
    floats = with_followers(own, lambda node: node.users)
    for node in list(module.graph.nodes):
        if node in floats:
            continue
        axis = _OUT_AXIS.get(node.target)
        if axis is not None and recipe.weights == "int8" and node.args[1].op == "get_attr":
            how = TensorScale(bits=8, axis=axis if recipe.per_channel else None)
            name = names.get(node.args[1], str(node.args[1].target))
            yield _Tensor(name, node.args[1], how, weight=True)
        if recipe.activations == "int8" and (axis is not None or node.target in _ADDITIONS):
            for each in _ends(node, node.args[: 1 if axis is not None else 2]):
                yield _Tensor(each.name, each, TensorScale(bits=8), weight=False)


def _ends(node: fx.Node, inputs: Collection[Any]) -> Iterator[fx.Node]:
    """Yield a step's inputs and its output, behind the ReLU that follows it alone."""
    for each in inputs:
        if isinstance(each, fx.Node) and each.op != "get_attr" and _is_float(each):
            yield each
    (user, *others) = node.users
    output = user if not others and user.target in _RECTIFIERS else node
    if _is_float(output):
        yield output


def _is_float(node: fx.Node) -> bool:
    return bool(node.meta["val"].is_floating_point())


def _insert(
    job: ExportJob,
    module: fx.GraphModule,
    tensors: dict[fx.Node, _Tensor],
    toolchain: Toolchain,
) -> dict[str, Affine]:
    kept: dict[str, Affine] = {}
    unknown = [node for node, each in tensors.items() if each.open and not each.weight]
    images = job.calibration_images() if unknown else ()
    seen = ranges.observed(module, unknown, images)
    for node, each in tensors.items():
        if each.how.bits == 32:
            continue
        if each.how.bits == 16:
            (half_weight if each.weight else half_activation)(module, node)
        elif each.weight:
            by = kept[each.name] = _of_weight(job, module, node, each)
            around_weight(module, node, by, integers=not toolchain.folds_weights)
        else:
            by = _of_activation(each.how, seen.get(node), toolchain)
            around_activation(module, node, by)
            if each.how.scale is not None:
                kept[each.name] = by
    return kept


def _check_layers(
    module: fx.GraphModule,
    tensors: dict[fx.Node, _Tensor],
    names: dict[fx.Node, str],
    toolchain: Toolchain,
) -> None:
    """Refuse a layer whose weight is integers alone, or alone is not."""
    whole = {node for node, each in tensors.items() if each.how.bits in (4, 8)}
    for layer in module.graph.nodes:
        if layer.target not in _OUT_AXIS:
            continue
        (output,) = _ends(layer, ())
        taken, weight = layer.args[:2]
        around = taken in whole and bool({layer, output} & whole)
        name = names.get(weight, str(weight))
        if weight in whole and not around and not toolchain.weights_alone:
            rule = "weights are integers where their layer's input and output are too"
            raise toolchain.cannot(name, f"{tensors[weight].how.bits} bits", rule)
        if weight not in whole and around and not toolchain.floats_between:
            rule = "weights are integers where their layer's input and output are"
            raise toolchain.cannot(name, "float elements", rule)


def _equal(scale: Any, points: Any, held: Any, at: Any) -> bool:
    if np.shape(scale) != np.shape(np.atleast_1d(held)):
        return False
    near = np.allclose(scale, np.atleast_1d(held), rtol=1e-6, atol=0)
    return bool(near and (points == np.broadcast_to(at, points.shape)).all())


def _of_weight(job: ExportJob, module: fx.GraphModule, node: fx.Node, each: _Tensor) -> Affine:
    how = each.how
    if how.scale is not None:
        return _affine(how)
    axis = how.axis
    if axis is None and job.quantized.recipe.per_channel:
        axis = next(
            (_OUT_AXIS[user.target] for user in node.users if user.target in _OUT_AXIS), None
        )
    scale = ranges.of_weight(value(module, node), how.bits, axis)
    return Affine(how.bits, scale, torch.zeros(len(scale), dtype=torch.int32), axis)


def _of_activation(how: TensorScale, seen: ranges.Range | None, toolchain: Toolchain) -> Affine:
    if seen is None:
        return _affine(how)
    symmetric = not toolchain.activation_zero_points
    scale, point = ranges.of_activation(seen, how.bits, symmetric)
    return Affine(how.bits, torch.tensor([scale]), torch.tensor([point], dtype=torch.int32), None)


def _affine(how: TensorScale) -> Affine:
    scale = torch.tensor(how.scale, dtype=torch.float32)
    points = how.zero_point or (0,) * len(scale)
    return Affine(how.bits, scale, torch.tensor(points, dtype=torch.int32), how.axis)
