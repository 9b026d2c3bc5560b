from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.onnx import Params
from edgepress.export.onnx import export as write
from edgepress.params import validate

OPTIONS = {"method": "onnx", "opset": 18}
FP32, INT8 = "x86_64-onnxruntime-fp32", "x86_64-onnxruntime-int8"


def test_float_file_answers_as_torch_when_run(trained: Any, export: Any, answer: Any) -> None:
    folder, exported = export(FP32, OPTIONS)
    answers = answer(folder, exported)
    assert answers.dtype == np.float32
    assert trained.cosine(answers) >= 0.9999
    assert np.abs(answers - trained.logits).max() < 1e-3


def test_int8_file_is_near_torch_and_smaller_when_run(
    trained: Any, export: Any, answer: Any
) -> None:
    folder, exported = export(INT8, OPTIONS)
    answers = answer(folder, exported)
    assert trained.cosine(answers) >= 0.98
    assert (answers.argmax(1) == trained.logits.argmax(1)).mean() >= 0.97
    assert exported.size_bytes < 0.6 * export(FP32, OPTIONS)[1].size_bytes


def test_int8_file_answers_alike_when_kernels_saturate_and_when_they_cannot(
    trained: Any, export: Any, answer: Any
) -> None:
    """Float arithmetic on the Q/DQ nodes as written cannot saturate; this CPU's kernels might."""
    from edgepress.runtimes.onnx_session import OnnxSession

    folder, exported = export(INT8, OPTIONS)
    exact = OnnxSession(folder / exported.part.entry, exported, 1, as_written=True)
    expected = np.concatenate(
        [exact.run({"image": image[None]})["logits"] for image in trained.images]
    )
    assert np.abs(answer(folder, exported) - expected).max() < 0.05 * np.abs(expected).max()


def test_int8_weights_keep_to_seven_bits_per_channel_and_all_layers_are_quantized(
    export: Any,
) -> None:
    folder, exported = export(INT8, OPTIONS)
    model = onnx.load(folder / exported.part.entry)
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
    ]
    kinds = Counter(node.op_type for node in model.graph.node)
    assert len(weights) == kinds["Conv"] + kinds["Gemm"] > 8
    assert all(weight.min() >= -64 and weight.max() <= 64 for weight in weights)
    scales = [len(t.dims) and t.dims[0] for t in model.graph.initializer if "_scale" in t.name]
    assert {8, 16, 32} <= set(scales)


@pytest.mark.parametrize("target", [FP32, INT8])
def test_file_is_one_static_graph_that_tells_nothing_of_this_machine(
    export: Any, target: str
) -> None:
    folder, exported = export(target, OPTIONS)
    assert [path.name for path in sorted(folder.iterdir())] == ["exported.json", "model.onnx"]
    data = (folder / exported.part.entry).read_bytes()
    assert str(Path(torch.__file__).parent).encode() not in data
    assert b"stack_trace" not in data
    model = onnx.load_from_string(data)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    graph = model.graph
    shapes = [
        [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)
    ]
    assert shapes == [[1, 1, 16, 16], [1, 10]]
    assert [graph.input[0].name, graph.output[0].name] == ["image", "logits"]
    (taken,), (given,) = exported.part.inputs, exported.part.outputs
    assert (taken.stored, taken.layout, given.stored) == ("image", "NCHW", "logits")


def test_bytes_are_the_same_when_quantized_twice(
    make_job: Any, export: Any, tmp_path: Path
) -> None:
    again = write(make_job(tmp_path / "again", INT8), params=Params(method="onnx", opset=18))
    assert again.files == export(INT8, OPTIONS)[1].files


def test_bytes_change_when_the_calibration_images_change(
    make_job: Any, export: Any, trained: Any, tmp_path: Path
) -> None:
    darker = CalibrationImages(trained.calibration // 2, make_job(tmp_path, INT8).bundle.input)
    job = make_job(tmp_path / "out", INT8, calibration=darker)
    changed = write(job, params=Params(method="onnx", opset=18))
    assert changed.files != export(INT8, OPTIONS)[1].files


def test_network_is_left_as_it_was_when_exported(export: Any, trained: Any) -> None:
    export(INT8, OPTIONS)
    assert not trained.network.training
    with torch.inference_mode():
        logits = trained.network(torch.from_numpy(trained.images)).numpy()
    np.testing.assert_array_equal(logits, trained.logits)


@pytest.mark.parametrize("opset", [17, 24, "18", None])
def test_params_refuse_when_the_opset_is_out_of_range(opset: Any) -> None:
    from edgepress.errors import UserError

    with pytest.raises(UserError, match=r"export\.onnx\.opset"):
        validate(Params, {"method": "onnx", "opset": opset}, "params.yaml", "export.onnx")
