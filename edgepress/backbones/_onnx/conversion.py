"""Conversion: a static ONNX graph as steps of torch, and the weights of their layers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from edgepress.backbones._onnx.graph import IMAGE, Constant, Graph, Step
from edgepress.backbones._onnx.node import Array, Node
from edgepress.backbones._onnx.table import OPERATORS
from edgepress.errors import UserError

_DTYPES: Final = ("float32", "int64", "bool")


@dataclass
class Converted:
    """A graph under construction; names are its own, since a file's may hold anything."""

    steps: list[Step] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    """Every tensor by its name in the network: layers.conv_0.weight, constants.c0."""
    names: dict[str, str] = field(default_factory=dict)
    """Name in the file -> name here."""

    def add(self, node: Node) -> None:
        """Append one operator."""
        operator = OPERATORS[node.operator]
        reading = operator.read(node)
        name = f"{_plain(node.operator)}_{len(self.steps)}"
        inputs = tuple(self._taken(node, each) for each in reading.inputs if each)
        outputs = tuple(self._named(each) for each in node.outputs)
        for key, tensor in reading.tensors.items():
            self.weights[f"layers.{name}.{key}"] = tensor
        arguments = {key: _plain_value(value) for key, value in reading.arguments.items()}
        self.steps.append(
            Step(
                name=name,
                operator=node.operator,
                inputs=inputs,
                outputs=outputs,
                arguments=arguments,
            )
        )

    def _named(self, name: str) -> str:
        return self.names.setdefault(name, f"v{len(self.names)}")

    def _taken(self, node: Node, name: str) -> str:
        if name in self.names:
            return self.names[name]
        if name not in node.constants:
            raise node.refused(f"takes {name!r}, which nothing gives")
        tensor = node.constants[name]
        if tensor.dtype.name not in _DTYPES:
            raise node.refused(f"takes a constant of {tensor.dtype}; export it in float32")
        key = self.names[name] = f"c{len(self.constants)}"
        self.constants[key] = Constant(shape=tensor.shape, dtype=cast(Any, tensor.dtype.name))
        self.weights[f"constants.{key}"] = tensor
        return key


def converted(model: Any, opset: int, path: Path) -> tuple[Graph, dict[str, Array]]:
    """Return a static graph's steps and weights; an operator that is not known: a UserError."""
    graph = model.graph
    unknown = sorted({node.op_type for node in graph.node} - set(OPERATORS) - {"Constant"})
    if unknown:
        raise UserError(
            f"{path}: has operators that are not known here: {', '.join(unknown)}; known are "
            f"{', '.join(sorted(OPERATORS))}"
        )
    constants, shapes = _constants(graph), _shapes(graph)
    found = Converted(names={_image(graph): IMAGE})
    try:
        for node in graph.node:
            if node.op_type != "Constant":
                found.add(_node(node, opset, constants, shapes))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    outputs = tuple(found.names.get(each.name, each.name) for each in graph.output)
    steps = Graph(steps=tuple(found.steps), constants=found.constants, outputs=outputs)
    return steps, found.weights


def _node(node: Any, opset: int, constants: dict[str, Array], shapes: Any) -> Node:
    from onnx import helper

    attributes = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        attributes[attribute.name] = value.decode() if isinstance(value, bytes) else value
    outputs = tuple(name for name in node.output if name)
    inputs = tuple(node.input)
    return Node(node.op_type, opset, inputs, outputs, attributes, constants, shapes)


def _image(graph: Any) -> str:
    held = {tensor.name for tensor in graph.initializer}
    return str(next(each.name for each in graph.input if each.name not in held))


def _constants(graph: Any) -> dict[str, Array]:
    from onnx import helper, numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            tensor = numpy_helper.to_array(value) if hasattr(value, "dims") else np.asarray(value)
            narrow = node.attribute[0].name.startswith("value_float")
            found[node.output[0]] = tensor.astype(np.float32) if narrow else tensor
    return found


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    return {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
        and all(axis.HasField("dim_value") for axis in value.type.tensor_type.shape.dim)
    }


def _plain(operator: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operator).lower()


def _plain_value(value: Any) -> Any:
    """Return NumPy's numbers as Python's, which JSON knows."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain_value, value))
    return value.item() if isinstance(value, np.generic) else value
