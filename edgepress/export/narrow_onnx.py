"""Keep in an ONNX file what torch cannot say: 4-bit integers as INT4, float16 weights as such.

`qdq_steps` names what it holds: `backbone_conv1_weight_int4`, `backbone_conv1_weight_half`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgepress.export.export_job import NotExportedError

_FIRST_WITH_INT4: Final = 21


def narrow(model: Any, opset: int) -> None:
    """Store weights of 4 bits and of float16 in their own types.

    An operator set without INT4 is a NotExportedError.
    """
    for tensor in list(model.graph.initializer):
        if tensor.name.endswith("_int4"):
            if opset < _FIRST_WITH_INT4:
                raise NotExportedError(
                    f"ONNX cannot hold {tensor.name.removesuffix('_int4')} with 4 bits in operator "
                    f"set {opset}: set {_FIRST_WITH_INT4} or later as export.onnx.opset"
                )
            _to_int4(model.graph, tensor)
        elif tensor.name.endswith("_half"):
            _to_half(model.graph, tensor)


def _to_int4(graph: Any, tensor: Any) -> None:
    """Change a weight's integers, and the zero points of the node that reads them."""
    for node in graph.node:
        if tensor.name in node.input[:1]:
            (points,) = (each for each in graph.initializer if each.name == node.input[2])
            node.input[2] = f"{tensor.name}_zero_point"
            graph.initializer.append(_packed(points, node.input[2]))
    tensor.CopyFrom(_packed(tensor, tensor.name))


def _packed(tensor: Any, name: str) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    integers = numpy_helper.to_array(tensor)
    return helper.make_tensor(name, TensorProto.INT4, integers.shape, integers.flatten().tolist())


def _to_half(graph: Any, tensor: Any) -> None:
    """Keep a weight as float16 and widen it where it is used."""
    from onnx import TensorProto, helper, numpy_helper

    wide = f"{tensor.name}_float"
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == tensor.name:
                node.input[place] = wide
    values = numpy_helper.to_array(tensor).astype(np.float16)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    graph.node.insert(0, helper.make_node("Cast", [tensor.name], [wide], to=TensorProto.FLOAT))
