from __future__ import annotations

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.params import validate
from edgepress.runtimes.onnx_session import OnnxSession
from edgepress.runtimes.onnxruntime import Params

FP32, INT8 = "x86_64-onnxruntime-fp32", "x86_64-onnxruntime-int8"
OPTIONS = {"method": "onnx", "opset": 18}


def test_int8_answer_is_that_of_the_graph_as_written_and_not_the_float_one(
    small_export, load_session, images
):
    folder, exported = small_export(INT8, **OPTIONS)
    fused = load_session(folder, exported).run(images[:1])
    graph = OnnxSession(folder / exported.part.entry, exported, 1, as_written=True)
    written = graph.run({"image": images[:1]})["logits"]
    np.testing.assert_allclose(fused, written, atol=np.ptp(written) / 20)
    float_answer = load_session(*small_export(FP32, **OPTIONS)).run(images[:1])
    assert not np.array_equal(fused, float_answer)


def test_load_refuses_when_the_file_is_missing(small_export, load_session, tmp_path):
    _, exported = small_export(FP32, **OPTIONS)
    with pytest.raises(UserError, match=r"model\.onnx: file not found"):
        load_session(tmp_path, exported)


def test_load_refuses_when_the_file_was_changed(small_export, load_session, forged):
    folder, exported = small_export(FP32, **OPTIONS)
    copy, _ = forged(folder, exported, "model.onnx", b"other bytes")
    with pytest.raises(UserError, match=r"model\.onnx: changed since it was exported"):
        load_session(copy, exported)


@pytest.mark.parametrize("data", [b"", b"not a model" * 50])
def test_load_refuses_when_the_file_is_foreign(small_export, load_session, forged, data):
    copy, exported = forged(*small_export(FP32, **OPTIONS), "model.onnx", data)
    with pytest.raises(UserError, match=r"model\.onnx: ONNX Runtime refuses it"):
        load_session(copy, exported)


def test_load_refuses_when_the_record_has_another_shape(small_export, load_session, reshaped):
    folder, exported = small_export(FP32, **OPTIONS)
    with pytest.raises(UserError, match=r"takes image \(1, 3, 8, 10\), exported.json says"):
        load_session(folder, reshaped(exported, shape=(1, 1, 8, 10)))


@pytest.mark.parametrize("shape", [(2, 3, 8, 10), (1, 8, 10, 3), (3, 8, 10)])
def test_run_refuses_when_the_batch_has_another_shape(small_export, load_session, shape):
    session = load_session(*small_export(FP32, **OPTIONS))
    with pytest.raises(UserError, match="the export takes float32"):
        session.run(np.zeros(shape, np.float32))


def test_params_refuse_when_there_are_no_threads():
    with pytest.raises(UserError, match="runtime.threads: Input should be greater than 0"):
        validate(Params, {"method": "onnxruntime", "threads": 0}, "params.yaml", "runtime")
