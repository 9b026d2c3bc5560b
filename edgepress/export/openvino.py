"""OpenVINO: the intermediate representation (.xml and .bin), INT8 by NNCF.

NNCF halves the range of all weights here (`overflow_fix`), so that CPUs without VNNI do not
saturate, and takes the activations' whole range: by its default, the mean of each image's ends, a
ResNet-20 for digits had a cosine of 0.9975 to the float logits, and so it has 0.9995.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

from edgepress.export.ending import asked, ending_model
from edgepress.export.export_job import ExportJob, Written, finish, ports, versions
from edgepress.export.float_layers import note
from edgepress.export.graph import trace
from edgepress.export.toolchain import Toolchain
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.openvino import library
from edgepress.runtimes.quiet import quiet

_FILE = "model.xml"
_OPSET = 18
_OPSET_WITH_INT4 = 21
_HOLDS = Toolchain(
    "OpenVINO", activation_bits=(8, 16, 32), weight_bits=(4, 8, 16, 32), weight_zero_points=True
)


class Params(Config):
    """Parameters of `openvino`."""

    method: Literal["openvino"]
    """Name of the method."""
    decoded: bool = False
    """Whether the graph goes on to the final answer: boxes decoded and suppressed, beside its maps.
    """


def export(job: ExportJob, *, params: Params) -> Exported:
    """Write model.xml and model.bin, float32 weights kept as such."""
    openvino = library()
    ending = asked(job, params.decoded, "export.openvino.decoded")
    model, floats = _read(openvino, job)
    tools = ["torch", "onnx", "onnxscript", "openvino"]
    if job.int8:
        model = _quantize(model, job, floats)
        tools.append("nncf")
    if ending is not None:
        model = _joined(openvino, model, ending_model(ending, _OPSET))
    outputs = (*job.outputs, *(ending.outputs if ending else ()))
    _number(model, {spec.name for spec in (*job.inputs, *outputs)})
    openvino.save_model(model, job.out / _FILE, compress_to_fp16=False)
    written = Written(
        format="openvino",
        entry=_FILE,
        inputs=ports(job.inputs),
        outputs=ports(outputs),
        tools=versions(*tools),
        notes=note(job),
    )
    return finish(job, written)


def _read(openvino: Any, job: ExportJob) -> tuple[Any, list[str]]:
    """Return the float network and the names of the layers that stay so."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "float.onnx")
        opset = _OPSET_WITH_INT4 if job.mixed else _OPSET
        traced = trace(job, opset, _HOLDS)
        path.write_bytes(traced.model.SerializeToString())
        model = openvino.Core().read_model(path)
    names = [layer.get_friendly_name() for layer in model.get_ordered_ops()]
    traced.floats.refuse_lost(names, _HOLDS)
    return model, [name for name in names if traced.floats.holds(name)]


def _quantize(model: Any, job: ExportJob, floats: list[str]) -> Any:
    images = job.calibration_images()
    with quiet("nncf"):
        import nncf
        from nncf.quantization import advanced_parameters as advanced
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        weights = advanced.QuantizationParameters(per_channel=job.quantized.recipe.per_channel)
        return nncf.quantize(
            model,
            nncf.Dataset(images),
            model_type=nncf.ModelType.TRANSFORMER if _attends(model) else None,
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(names=floats) if floats else None,
            advanced_parameters=advanced.AdvancedQuantizationParameters(
                # NNCF's smoothing goes wrong where a bias is added in attention (0.39 for 0.998).
                smooth_quant_alphas=advanced.AdvancedSmoothQuantParameters(-1, -1),
                overflow_fix=advanced.OverflowFix.ENABLE,
                weights_quantization_params=weights,
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )


def _joined(openvino: Any, model: Any, ending: Any) -> Any:
    """Return a model that goes on to the outputs of an ending (ONNX), which takes its own."""
    added = openvino.Core().read_model(ending.SerializeToString())
    for parameter in added.get_parameters():
        taken = parameter.output(0)
        source = model.output(taken.get_any_name()).get_node().input_value(0)
        taken.set_names(set())
        taken.replace(source)
    results = [*model.get_results(), *added.get_results()]
    return openvino.Model(results, model.get_parameters(), model.get_friendly_name())


def _attends(model: Any) -> bool:
    """Say whether a softmax weighs values, as attention does: a matrix product takes its output."""
    return any(
        taker.get_node().get_type_name() == "MatMul"
        for step in model.get_ordered_ops()
        if step.get_type_name() == "Softmax"
        for taker in step.output(0).get_target_inputs()
    )


def _number(model: Any, names: set[str]) -> None:
    """Number the layers but those named: their names hold a counter of this process."""
    for index, layer in enumerate(model.get_ordered_ops()):
        if layer.get_friendly_name() not in names:
            layer.set_friendly_name(f"{layer.get_type_name()}_{index}")
