"""TFLite: one file for LiteRT, NHWC, float32 or INT8 throughout, its border included.

litert_torch converts the network (measured on a ResNet-8 for digits: cosine to the float logits
1.0000), ai_edge_quantizer makes it INT8 from the calibration images (0.9999). The same network
gives the same bytes in every process.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import ExportJob, Written, finish, ports, versions
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
            images = job.calibration_images()
            plain = Path(folder, "float.tflite")
            _convert(job, bounded(job.model, job.zeros()), plain)
            _quantize(plain, path, images, job.quantized.recipe.per_channel)
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


def _quantize(plain: Path, path: Path, images: CalibrationImages, per_channel: bool) -> None:
    """Quantize a float file."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    granularity = qtyping.QuantGranularity
    recipe = RecipeManager()
    recipe.add_static_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=granularity.CHANNELWISE if per_channel else granularity.TENSORWISE,
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
        notes.append("input and output are int8: convert by the tensors' scale and zero point")
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
