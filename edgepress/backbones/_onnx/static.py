"""Static: a graph for one image of one size, everything that does not depend on it worked out.

ONNX Runtime's own basic optimisation does it: constants and shapes are folded, batch norms become
part of their convolutions, dropout and identities go. What is left is a few dozen operators.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from edgepress.backbones._onnx.file import File
from edgepress.errors import UserError

_ENDINGS: Final = ("Softmax", "LogSoftmax", "Sigmoid")
"""Last operators that make probabilities of logits."""


def without_ending(model: Any) -> list[str]:
    """Take a last softmax or sigmoid off the graph, in place; return which outputs lost one.

    Answers are made of logits: softmax and sigmoid are taken when they are decoded.
    """
    graph, told = model.graph, []
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        last = makers.get(output.name)
        while last is not None and last.op_type == "Identity":
            last = makers.get(last.input[0])
        if last is None or last.op_type not in _ENDINGS:
            continue
        told.append(f"its last {last.op_type} left off, since answers are made of logits")
        output.name = last.input[0]
    return told


def folded(file: File) -> Any:
    """Return the graph as an onnx.ModelProto of known shapes; what cannot run is a UserError."""
    model = _optimised(file, file.model)
    if any(node.op_type == "Shape" for node in model.graph.node):
        return _optimised(file, model)  # of an operator that was written out at the very end
    return model


def _optimised(file: File, model: Any) -> Any:
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "static.onnx"
        options.optimized_model_filepath = str(path)
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # Of many kinds of its own.
            raise UserError(f"{file.path}: ONNX Runtime refuses it: {_said(error)}") from None
        for output in session.get_outputs():
            if output.type != "tensor(float)":
                raise UserError(
                    f"{file.path}: gives {output.name} as {output.type}, expected the logits as "
                    "tensor(float); export the network without its last step"
                )
        return onnx.shape_inference.infer_shapes(onnx.load(str(path)), data_prop=True)


def _said(error: Exception) -> str:
    """Return an error of ONNX Runtime without its numbers."""
    return str(error).rpartition(" : ")[2] or type(error).__name__
