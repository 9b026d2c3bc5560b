"""File: an ONNX file as it lies on the disk, read whole, and refused before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_file

OPSETS: Final = range(7, 27)
"""Operator sets that ONNX Runtime and the readers here know."""
_MODEL_LIMIT: Final = 2**31 - 1
"""Bytes of one protobuf message."""
_QUANTIZED: Final = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)


@dataclass(frozen=True)
class File:
    """A graph with one image input and float answers, its weights within."""

    path: Path
    model: Any
    """onnx.ModelProto; functions of its own are written out."""
    opset: int
    lineage: dict[str, str]
    """sha256 of the file, and of what holds its weights beside it."""

    def session(self) -> Any:
        """Return an onnxruntime.InferenceSession of the graph as it stands, nothing optimised."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def read(path: Path) -> File:
    """Return the file's graph; one that is damaged, quantized or of foreign parts: a UserError."""
    import onnx
    from onnx import inliner

    if not path.is_file():
        raise UserError(f"{path}: file not found; set path to your ONNX file")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # protobuf fails on foreign bytes in many ways.
        raise UserError(f"{path}: is no ONNX file, or a damaged one") from None
    if not model.graph.node:
        raise UserError(f"{path}: is no ONNX file, or one without a graph")
    lineage = {"onnx": sha256_file(path)}
    if beside := _beside(path, model):
        lineage["onnx_data"] = sha256_file(beside)
        onnx.load_external_data_for_model(model, str(path.parent))
    if model.ByteSize() > _MODEL_LIMIT:
        raise UserError(f"{path}: is larger than 2 GB, which no file of one part can be")
    opset = _opset(path, model)
    if model.functions:
        model = inliner.inline_local_functions(model)
    _refuse_foreign(path, model)
    return File(path, model, opset, lineage)


def fixed(file: File, spec: InputSpec) -> list[str]:
    """Set the graph's one input to one image of `spec`, in place; return what was left open.

    Another number of inputs, type, layout or size is a UserError.
    """
    graph, path = file.model.graph, file.path
    held = {tensor.name for tensor in graph.initializer}
    images = [each for each in graph.input if each.name not in held]
    if len(images) != 1:
        names = ", ".join(each.name for each in images) or "none"
        raise UserError(f"{path}: takes {len(images)} inputs ({names}), expected one, an image")
    kind = images[0].type.tensor_type
    if kind.elem_type != 1:
        raise UserError(
            f"{path}: takes {_type_name(kind.elem_type)}, expected float32 images; "
            "export the network in float32"
        )
    told = _fix(path, kind.shape.dim, spec)
    del graph.value_info[:]  # shapes of another batch
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
    return told


def _fix(path: Path, axes: Any, spec: InputSpec) -> list[str]:
    """Set the four axes of the input, each of which may have been open."""
    sizes = [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]
    if len(sizes) != 4:
        raise UserError(f"{path}: takes a tensor of {len(sizes)} axes, expected images NCHW")
    batch, channels, height, width = sizes
    if batch not in (None, 1):
        raise UserError(
            f"{path}: takes {batch} images at once; export it with a batch of 1, or an open one"
        )
    if channels not in (1, 3, None) and sizes[3] in (1, 3):
        raise UserError(
            f"{path}: takes images with their channels last, {sizes}; export it for NCHW"
        )
    if any(
        size not in (None, asked) for size, asked in zip(sizes[1:], spec.shape[1:], strict=True)
    ):
        wanted = ", ".join(
            f"{name}: {size}"
            for name, size in (("height", height), ("width", width), ("channels", channels))
            if size is not None
        )
        raise UserError(
            f"{path}: takes images [{channels}, {height}, {width}], input says "
            f"{list(spec.shape[1:])}; set input: {{{wanted}}}, and mean and std as in its training"
        )
    for axis, size in zip(axes, spec.shape, strict=True):
        axis.Clear()
        axis.dim_value = size
    open_ = [name for name, size in (("height", height), ("width", width)) if size is None]
    return [f"{' and '.join(open_)} open, so those of input"] if open_ else []


def _beside(path: Path, model: Any) -> Path | None:
    """Return the file that holds the weights, if they are not within."""
    from onnx import external_data_helper as external

    places = {
        entry.value
        for tensor in _tensors(model)
        if external.uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for place in sorted(places):
        if Path(place).name != place or not place.startswith(path.name) or len(places) > 1:
            raise UserError(
                f"{path}: has its weights in {place}, expected within or in one file "
                f"{path.name}.data beside it; call the file as it was exported, or write it anew "
                "by onnx.save(onnx.load(FILE), FILE)"
            )
        if not (path.parent / place).is_file():
            raise UserError(
                f"{path}: has its weights in {place}, which is missing; put that file beside it"
            )
    return path.parent / places.pop() if places else None


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _opset(path: Path, model: Any) -> int:
    found = {each.domain or "ai.onnx": each.version for each in model.opset_import}
    opset = int(found.get("ai.onnx", 0))
    if opset not in OPSETS:
        age = "old" if opset < OPSETS[0] else "new"
        raise UserError(
            f"{path}: has opset {opset}, too {age}; known are {OPSETS[0]} to {OPSETS[-1]}; export "
            f"it anew, or use onnx.version_converter.convert_version(model, 18)"
        )
    return opset


def _refuse_foreign(path: Path, model: Any) -> None:
    nodes = list(_nodes(model.graph))
    foreign = {f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in ("", "ai.onnx")}
    if foreign:
        raise UserError(
            f"{path}: has operators that are not ONNX's own: {', '.join(sorted(foreign))}; export "
            "the network without them, or before a runtime optimised it"
        )
    quantized = {n.op_type for n in nodes} & set(_QUANTIZED)
    if quantized:
        raise UserError(
            f"{path}: is quantized already ({', '.join(sorted(quantized))}); give the float32 "
            "network, quantize comes later here"
        )


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _type_name(kind: int) -> str:
    import onnx

    return str(onnx.TensorProto.DataType.Name(kind)).lower()
