"""A recipe for single tensors: what was given is what each format's file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgepress.errors import UserError
from edgepress.export.export_job import NotExportedError
from edgepress.methods import resolve
from edgepress.records.exported import Exported
from edgepress.records.quantized import Recipe, TensorScale
from edgepress.runtimes.onnx_session import OnnxSession
from tests.edgepress.export.scales_in_files import in_coreml, in_onnx, in_openvino, in_tflite, is_in

ONNX = ("x86_64-onnxruntime-given", {"method": "onnx", "opset": 21})
Write = Any


@pytest.fixture(scope="session")
def write(make_job: Any, given: Any, tmp_path_factory: Any) -> Write:
    """Export the folded network by a recipe, the fixture's own unless another is given."""

    def run(target: str, options: Any, recipe: Any = None, **changes: Any) -> Any:
        out = tmp_path_factory.mktemp(target)
        changes = {"model": given.network, "recipe": recipe or given.recipe, **changes}
        job = make_job(out, target, **changes)
        return out, resolve("export", options, "test", "export")(job)

    return run


def exact(folder: Path, exported: Exported, images: Any) -> Any:
    """Answer with the Q/DQ nodes as written, in float."""
    session = OnnxSession(folder / "model.onnx", exported, 1, as_written=True)
    return np.concatenate([session.run({"image": image[None]})["logits"] for image in images])


def test_file_holds_the_given_scales_and_answers_as_fake_quantized_torch_when_read_back(
    write: Write, given: Any, trained: Any, answer: Any
) -> None:
    folder, exported = write(*ONNX)
    found = list(in_onnx(folder).values())
    for name, how in given.recipe.tensors.items():
        assert is_in(found, how), name
    assert len(found) == len(given.recipe.tensors)
    assert given.off(exact(folder, exported, trained.images)) < 1e-3
    assert given.off(answer(folder, exported)) < 0.02


TARGETS = {
    "x86_64-litert-given": ({"method": "tflite"}, in_tflite),
    "apple-coreml-given": ({"method": "coreml", "minimum_deployment_target": "iOS17"}, in_coreml),
    "x86_64-openvino-given": ({"method": "openvino"}, in_openvino),
}


@pytest.mark.parametrize("target", TARGETS)
def test_given_scales_are_in_the_file_and_answers_fake_quantized_torchs_when_converted(
    write: Write, given: Any, answer: Any, target: str
) -> None:
    options, read = TARGETS[target]
    folder, exported = write(target, options)
    found = list(read(folder))
    for name, how in given.recipe.tensors.items():
        assert is_in(found, how), name
    function = "stand_in" if "coreml" in target else "load"
    assert given.off(answer(folder, exported, function)) < 0.02


def test_executorch_holds_the_given_scales_and_answers_as_fake_quantized_torch(
    write: Write, given: Any, answer: Any
) -> None:
    folder, exported = write("x86_64-executorch-given", {"method": "executorch"})
    data = (folder / exported.part.entry).read_bytes()
    for name, how in given.recipe.tensors.items():
        assert np.float32(how.scale).tobytes() in data, name
    assert exported.notes == ("all operations run in XNNPACK",)
    assert given.off(answer(folder, exported)) < 0.02


def test_tensorrt_graph_holds_the_given_scales_when_they_are_symmetric(
    write: Write, symmetric: Any, trained: Any
) -> None:
    options = {"method": "tensorrt_rtx", "compute_capability": 86}
    folder, exported = write("x86_64-tensorrt_rtx-given", options, symmetric.recipe)
    found = list(in_onnx(folder).values())
    for name, how in symmetric.recipe.tensors.items():
        assert is_in(found, how), name
    assert symmetric.off(exact(folder, exported, trained.images)) < 1e-3


@pytest.mark.parametrize(
    ("target", "options", "weights", "activations", "message"),
    [
        (
            "x86_64-litert-given",
            {"method": "tflite"},
            "float32",
            "int8",
            r"TFLite cannot hold backbone\.conv1\.weight with float elements: there, weights a",
        ),
        (
            "x86_64-executorch-given",
            {"method": "executorch"},
            "int8",
            "float32",
            r"ExecuTorch cannot hold backbone\.conv1\.weight with 8 bits: there, weights are",
        ),
    ],
)
def test_mixture_is_refused_by_tensor_when_the_toolchain_makes_whole_layers(
    write: Write,
    make_job: Any,
    tmp_path: Path,
    target: str,
    options: Any,
    weights: Any,
    activations: Any,
    message: str,
) -> None:
    recipe = Recipe(weights=weights, activations=activations, per_channel=True)
    calibration = make_job(tmp_path, "a-b-int8").calibration
    with pytest.raises(NotExportedError, match=message):
        write(target, options, recipe, calibration=calibration)


def test_weights_and_activations_are_calibrated_when_left_open_and_float_when_left_out(
    write: Write, given: Any, trained: Any, answer: Any, make_job: Any, tmp_path: Path
) -> None:
    tensors = {
        "backbone.stage2.0.conv1.weight": TensorScale(bits=4),
        "backbone.stage3.0.conv2.weight": TensorScale(bits=32),
        "backbone.stage1": TensorScale(bits=32),
        "head.fc.weight": TensorScale(bits=16),
        "image": TensorScale(scale=(0.0123,), zero_point=(-40,)),
    }
    recipe = Recipe(weights="int8", activations="int8", per_channel=True, tensors=tensors)
    calibration = make_job(tmp_path, "a-b-int8").calibration
    folder, exported = write(*ONNX, recipe, calibration=calibration)
    graph = onnx.load(folder / "model.onnx").graph
    types = {each.name: each.data_type for each in graph.initializer}
    weights = {
        name: kind for name, kind in types.items() if "weight" in name and "zero" not in name
    }
    kinds = onnx.TensorProto
    assert weights["model_backbone_stage2_0_conv1_weight_int4"] == kinds.INT4
    assert weights["model.backbone.stage3.0.conv2.weight"] == kinds.FLOAT
    assert weights["model_head_fc_weight_half"] == kinds.FLOAT16
    assert list(weights.values()).count(kinds.INT8) == 7
    assert in_onnx(folder)["image"] == (np.float32(0.0123), -40)
    assert trained.cosine(exact(folder, exported, trained.images)) > 0.97
    assert trained.cosine(answer(folder, exported)) > 0.97


@pytest.mark.parametrize(
    ("weights", "activations", "quantize", "dequantize"),
    [("int8", "float32", 0, 10), ("float32", "int8", 15, 15)],
)
def test_only_one_kind_is_quantized_when_the_other_stays_float(
    write: Write,
    trained: Any,
    answer: Any,
    make_job: Any,
    tmp_path: Path,
    weights: Any,
    activations: Any,
    quantize: int,
    dequantize: int,
) -> None:
    recipe = Recipe(weights=weights, activations=activations, per_channel=True)
    calibration = make_job(tmp_path, "a-b-int8").calibration
    folder, exported = write(*ONNX, recipe, calibration=calibration, model=trained.network)
    nodes = [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]
    counts = (nodes.count("QuantizeLinear"), nodes.count("DequantizeLinear"))
    assert counts == (quantize, dequantize)
    assert "BatchNormalization" not in nodes
    assert trained.cosine(answer(folder, exported)) > 0.99


def test_scale_is_kept_when_a_batch_norm_follows(write: Write, trained: Any) -> None:
    how = TensorScale(scale=(0.01,))
    recipe = Recipe(
        weights="float32",
        activations="float32",
        per_channel=False,
        tensors={"backbone.conv1.weight": how},
    )
    folder, exported = write(*ONNX, recipe, model=trained.network)
    assert in_onnx(folder)["model_backbone_conv1_weight_int8"] == (np.float32(0.01), 0)
    assert trained.cosine(exact(folder, exported, trained.images)) > 0.99


@pytest.mark.parametrize(
    ("target", "options", "how", "message"),
    [
        (
            "x86_64-tensorrt_rtx-given",
            {"method": "tensorrt_rtx", "compute_capability": 86},
            TensorScale(scale=(0.1,), zero_point=(3,)),
            r"^TensorRT cannot hold backbone\.conv1 with zero point 3: there, activations have 0$",
        ),
        (
            "x86_64-onnxruntime-given",
            {"method": "onnx", "opset": 21},
            TensorScale(bits=4),
            r"^ONNX cannot hold backbone\.conv1 with 4 bits: there, activations have 8 or 16 or 32",
        ),
        (
            "x86_64-openvino-given",
            {"method": "openvino"},
            TensorScale(scale=(0.1,) * 8, axis=1),
            r"^OpenVINO cannot hold backbone\.conv1 with a scale per slice of axis 1: there, act",
        ),
    ],
)
def test_export_is_refused_by_tensor_and_value_when_the_toolchain_cannot_hold_it(
    write: Write, target: str, options: Any, how: TensorScale, message: str
) -> None:
    recipe = Recipe(
        weights="float32", activations="float32", per_channel=True, tensors={"backbone.conv1": how}
    )
    with pytest.raises(NotExportedError, match=message):
        write(target, options, recipe)


def test_four_bits_are_refused_when_the_operator_set_has_no_such_type(write: Write) -> None:
    tensors = {"head.fc.weight": TensorScale(bits=4)}
    recipe = Recipe(weights="float32", activations="float32", per_channel=True, tensors=tensors)
    with pytest.raises(NotExportedError, match=r"head_fc_weight with 4 bits in operator set 18"):
        write(ONNX[0], {"method": "onnx", "opset": 18}, recipe)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"backbone.conv9": TensorScale(bits=32)}, r"'backbone\.conv9' is no parameter, module or"),
        (
            {"backbone.conv1.weight": TensorScale(scale=(0.1, 0.2), axis=0)},
            r"backbone\.conv1\.weight has 8 slices along axis 0, got 2 scales",
        ),
        ({"head.fc": TensorScale(scale=(1.0,) * 10, axis=2)}, "head.fc has 2 axes, so none of"),
        (
            {"backbone.stage1": TensorScale(bits=32), "backbone.stage1.0": TensorScale(bits=16)},
            r"backbone\.stage1 and backbone\.stage1\.0 are the same tensor",
        ),
    ],
)
def test_recipe_is_refused_when_it_does_not_fit_the_network(
    write: Write, tensors: Any, message: str
) -> None:
    recipe = Recipe(weights="float32", activations="float32", per_channel=True, tensors=tensors)
    with pytest.raises(UserError, match=message):
        write(*ONNX, recipe)
