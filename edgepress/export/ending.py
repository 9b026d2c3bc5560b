"""An answer's last steps as ONNX, to stand behind a network's maps: decoding and suppression.

They are traced and joined once the network is quantized, so that they stay float, and the maps stay
outputs, so that they are held against the float network's like those of any other file.
"""

from __future__ import annotations

from typing import Any

from edgepress.errors import UserError
from edgepress.export.export_job import ExportJob
from edgepress.tasks.task import Ending

_PREFIX = "ending_"
_SUPPRESSION = """
suppression (float[1,A,4] every_box, float[1,C,A] every_score)
  => (float[1,{most},4] boxes, float[1,{most}] scores, int32[1,{most}] category, int32[1] count) {{
  most = Constant <value_ints = [{most}]> ()
  overlap = Constant <value_floats = [{overlap}]> ()
  least = Constant <value_floats = [{least}]> ()
  picked = NonMaxSuppression (every_box, every_score, most, overlap, least)
  one = Constant <value_int = 1> ()
  two = Constant <value_int = 2> ()
  picked_class = Gather <axis = 1> (picked, one)
  picked_box = Gather <axis = 1> (picked, two)
  places = Constant <value_int = {places}> ()
  before = Mul (picked_class, places)
  index = Add (before, picked_box)
  flat = Constant <value_ints = [-1]> ()
  rows = Constant <value_ints = [-1, 4]> ()
  flat_scores = Reshape (every_score, flat)
  flat_boxes = Reshape (every_box, rows)
  picked_scores = Gather (flat_scores, index)
  picked_boxes = Gather (flat_boxes, picked_box)
  empty = ConstantOfShape <value = float[1] {{-1.0}}> (most)
  no_class = ConstantOfShape <value = int64[1] {{-1}}> (most)
  four = Constant <value_ints = [{most}, 4]> ()
  no_box = ConstantOfShape <value = float[1] {{0.0}}> (four)
  all_scores = Concat <axis = 0> (picked_scores, empty)
  all_classes = Concat <axis = 0> (picked_class, no_class)
  all_boxes = Concat <axis = 0> (picked_boxes, no_box)
  best, place = TopK (all_scores, most)
  first = Constant <value_ints = [0]> ()
  sure = Relu (best)
  scores = Unsqueeze (sure, first)
  best_class = Gather (all_classes, place)
  narrow = Cast <to = 6> (best_class)
  category = Unsqueeze (narrow, first)
  best_boxes = Gather (all_boxes, place)
  boxes = Unsqueeze (best_boxes, first)
  zero = Constant <value_int = 0> ()
  there = GreaterOrEqual (best_class, zero)
  ones = Cast <to = 6> (there)
  count = ReduceSum <keepdims = 1> (ones, first)
}}
"""


def asked(job: ExportJob, wanted: bool, key: str) -> Ending | None:
    """Return the ending of the job's task if it is wanted; a task without one is a UserError."""
    if wanted and job.ending is None:
        raise UserError(
            f"params.yaml: {key}: the task {job.bundle.task.get('method')} has no last steps for a "
            "graph; say false"
        )
    return job.ending if wanted else None


def ending_model(ending: Ending, opset: int) -> Any:
    """Return the steps as an onnx.ModelProto that takes the maps by their names."""
    import onnx
    import torch

    zeros = tuple(torch.from_numpy(each.zeros()) for each in ending.maps)
    program = torch.onnx.export(
        ending.module,
        zeros,
        input_names=[each.name for each in ending.maps],
        output_names=["every_box", "every_score"],
        opset_version=opset,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    _, classes, places = (int(d.dim_value) for d in _shape(model.graph.output[1]))
    text = _SUPPRESSION.format(
        most=ending.outputs[0].shape[1],
        overlap=float(ending.overlap),
        least=float(ending.least_score),
        places=places,
    )
    text = text.replace("1,A,4", f"1,{places},4").replace("1,C,A", f"1,{classes},{places}")
    suppression = onnx.parser.parse_graph(text)
    model.graph.node.extend(suppression.node)
    del model.graph.output[:]
    model.graph.output.extend(suppression.output)
    return _prefixed(model, {each.name for each in (*ending.maps, *ending.outputs)})


def append(model: Any, ending: Ending, opset: int) -> None:
    """Let a network's onnx.ModelProto go on to the ending's outputs, beside its own."""
    added = ending_model(ending, opset)
    model.graph.node.extend(added.graph.node)
    model.graph.initializer.extend(added.graph.initializer)
    model.graph.output.extend(added.graph.output)
    known = {each.domain for each in model.opset_import}
    model.opset_import.extend(each for each in added.opset_import if each.domain not in known)


def _shape(value: Any) -> Any:
    return value.type.tensor_type.shape.dim


def _prefixed(model: Any, kept: set[str]) -> Any:
    """Rename all inner tensors and nodes, so that none is called as one of the network's."""

    def renamed(name: str) -> str:
        return name if name in kept or not name else _PREFIX + name

    for node in model.graph.node:
        node.name = _PREFIX + node.name
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for tensor in model.graph.initializer:
        tensor.name = renamed(tensor.name)
    del model.graph.value_info[:]
    return model
