"""TFLite: one file for LiteRT, NHWC, float32 or INT8, its border included but for float layers.

litert_torch converts the network (measured on a ResNet-8 for digits: cosine to the float logits
1.0000), ai_edge_quantizer makes it INT8 from the calibration images (0.9999). The same network
gives the same bytes in every process.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgepress.export.export_job import ExportJob, Written, finish, ports, versions
from edgepress.export.float_layers import float_paths, note, refuse_missing, with_followers
from edgepress.export.toolchain import Toolchain
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.quiet import quiet

if TYPE_CHECKING:
    from torch import nn

_FILE = "model.tflite"
_SIGNATURE = "serving_default"
_HOLDS = Toolchain("TFLite", folds_weights=True, floats_between=False)


class Params(Config):
    """Parameters of `tflite`."""

    method: Literal["tflite"]
    """Name of the method."""


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write model.tflite: pictures as NHWC, all of the recipe's type."""
    path = job.out / _FILE
    from edgepress.export.bounded import bounded

    notes: tuple[str, ...] = ()
    with quiet("litert_torch"), tempfile.TemporaryDirectory() as folder:
        if job.int8:
            plain = Path(folder, "float.tflite")
            _convert(job, bounded(job.model, job.zeros()), plain)
            _quantize(job, plain, path)
            notes = note(job)
        elif job.mixed:
            notes = _honour(job, path)
        else:
            _convert(job, job.model, path)
        inputs, outputs = _names(path)
    written = Written(
        format="tflite",
        entry=_FILE,
        inputs=ports(job.inputs, inputs, channels_last=True),
        outputs=ports(job.outputs, outputs, channels_last=True),
        tools=versions(
            "torch", "litert-torch", "litert-converter", "ai-edge-quantizer", "ai-edge-litert"
        ),
        notes=(*notes, *_notes(path)),
    )
    return finish(job, written)


def _convert(job: ExportJob, network: nn.Module, path: Path, static: Any = None) -> None:
    """Write a network; `static` makes integers of the quantize and dequantize steps in it."""
    import litert_torch
    import torch

    turned = [
        [place for place, spec in enumerate(specs) if spec.layout == "NCHW"]
        for specs in (job.inputs, job.outputs)
    ]
    model = litert_torch.to_channel_last_io(network, args=turned[0], outputs=turned[1])
    model.training = False
    sample = tuple(
        torch.from_numpy(np.zeros(port.stored_shape, port.tensor.dtype))
        for port in ports(job.inputs, channels_last=True)
    )
    litert_torch.convert(model, sample, quant_config=static).export(str(path))


def _honour(job: ExportJob, path: Path) -> tuple[str, ...]:
    """Write the network with its recipe for single tensors; what the file lacks is refused."""
    from litert_torch.quantize.pt2e_quantizer import (
        PT2EQuantizer,
        get_symmetric_quantization_config,
    )
    from litert_torch.quantize.quant_config import QuantConfig

    from edgepress.export.given_scales import honoured

    graph = honoured(job, _HOLDS)
    static = QuantConfig(PT2EQuantizer().set_global(get_symmetric_quantization_config()))
    _convert(job, graph.module, path, static)
    graph.check(_HOLDS, _scales(path))
    return graph.notes


def _scales(path: Path) -> Iterator[tuple[Any, Any]]:
    """Yield scales and zero points of a file's tensors."""
    from ai_edge_litert import schema_py_generated as schema

    (body,) = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0).subgraphs
    for tensor in body.tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            yield tensor.quantization.scale, tensor.quantization.zeroPoint


def _quantize(job: ExportJob, plain: Path, path: Path) -> None:
    """Quantize a float file."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    images, per_channel = job.calibration_images(), job.quantized.recipe.per_channel
    granularity = qtyping.QuantGranularity
    recipe = RecipeManager()
    recipe.add_static_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=granularity.CHANNELWISE if per_channel else granularity.TENSORWISE,
    )
    for scope in _float_scopes(job, plain):
        recipe.add_quantization_config(
            regex=f"^{re.escape(scope)}$",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    (name,), _ = _names(plain)
    # By default ranges are a moving average of each image's: they forget all but the last twenty
    # and cut off the large values (lowest cosine on digits 0.960 instead of 0.998).
    calibrator = Calibrator(plain.read_bytes(), num_threads=1, qsv_update_func=min_max_update)
    for image in images:
        # One at a time: it makes a list of what it is given, to count it.
        calibrator.calibrate({_SIGNATURE: [{name: image.transpose(0, 2, 3, 1)}]}, recipe)
    quantizer = Quantizer(str(plain), recipe.get_quantization_recipe())
    quantizer.quantize(calibrator.get_model_qsvs()).export_model(str(path))


def _float_scopes(job: ExportJob, plain: Path) -> Iterator[str]:
    """Yield what the quantizer calls the steps that stay in float.

    The converter's names for them say little, so a layer is known by its weights.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import get_op_scope

    layers = float_paths(job)
    held = schema.ModelT.InitFromPackedBuf(plain.read_bytes(), 0)
    body = held.subgraphs[0]
    weights = {name: _weights(job.model.get_submodule(path)) for name, path in layers.items()}
    first, found = [], set()
    for place, step in enumerate(body.operators):
        buffers = [held.buffers[body.tensors[index].buffer].data for index in step.inputs]
        contents = {np.asarray(each).tobytes() for each in buffers if each is not None}
        own = {name for name, known in weights.items() if known & contents}
        found |= own
        if own:
            first.append(place)
    refuse_missing(_HOLDS, layers, found)
    takers: dict[int, list[int]] = {}
    for place, step in enumerate(body.operators):
        for index in step.inputs:
            takers.setdefault(int(index), []).append(place)

    def after(place: int) -> list[int]:
        return [each for index in body.operators[place].outputs for each in takers.get(index, ())]

    floats = with_followers(first, after)
    yield from (get_op_scope(body.operators[place], body.tensors) for place in sorted(floats))
    if any(index in body.outputs for place in floats for index in body.operators[place].outputs):
        # To the quantizer, giving the outputs is one more step, of all of them together.
        yield "".join(f"{body.tensors[index].name.decode()};" for index in body.outputs)


def _weights(layer: nn.Module) -> set[bytes]:
    """Return a layer's weights as TFLite has them: output channels first, input channels last."""
    found = [value.detach().numpy() for value in layer.parameters() if value.ndim > 1]
    return {np.moveaxis(each, 1, -1).tobytes() for each in found}


def _names(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of the signature's inputs and outputs, in order."""
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(str(path)).get_signature_list()[_SIGNATURE]
    return sorted(signature["inputs"]), sorted(signature["outputs"])


def _notes(path: Path) -> tuple[str, ...]:
    """Say what the file's graph holds that costs time or exactness."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    codes = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    kinds = [codes[code.builtinCode] for code in graph.operatorCodes]
    body = graph.subgraphs[0]
    floats = schema.TensorType.FLOAT32
    notes = []
    if body.tensors[body.inputs[0]].type == schema.TensorType.INT8:
        whole = body.tensors[body.outputs[0]].type == schema.TensorType.INT8
        ends = "input and output are" if whole else "input is"
        notes.append(f"{ends} int8: convert by the tensors' scale and zero point")
        kept = Counter(
            kinds[step.opcodeIndex]
            for step in body.operators
            if body.tensors[step.outputs[0]].type == floats
        )
        notes += [f"left in float: {count} x {kind}" for kind, count in sorted(kept.items())]
    turns = sum(kinds[step.opcodeIndex] == "TRANSPOSE" for step in body.operators)
    if turns:
        notes.append(f"{turns} transpose{'s' * (turns > 1)} between NCHW and NHWC inside")
    return tuple(notes)
