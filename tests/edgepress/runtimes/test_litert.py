from __future__ import annotations

import numpy as np
import pytest
import torch

from edgepress.errors import UserError

FP32, INT8 = "x86_64-litert-fp32", "x86_64-litert-int8"


def test_border_is_converted_when_the_file_is_int8(
    small_export, load_session, small_network, images
):
    folder, exported = small_export(INT8, method="tflite")
    session = load_session(folder, exported)
    expected = small_network(torch.from_numpy(images)).detach().numpy()
    answers = np.concatenate([session.run(image[None]) for image in images])
    assert answers.dtype == np.float32
    step = np.ptp(expected) / 255
    assert np.abs(answers - expected).max() < 8 * step
    assert any("int8" in note for note in exported.notes)


def test_values_saturate_when_they_lie_outside_the_calibrated_range(
    small_export, load_session, images
):
    session = load_session(*small_export(INT8, method="tflite"))
    np.testing.assert_array_equal(
        session.run(np.full_like(images[:1], 1e3)), session.run(np.full_like(images[:1], 1e6))
    )


def test_load_refuses_when_the_file_is_missing(small_export, load_session, tmp_path):
    _, exported = small_export(FP32, method="tflite")
    with pytest.raises(UserError, match=r"model\.tflite: file not found"):
        load_session(tmp_path, exported)


@pytest.mark.parametrize("data", [b"", b"not a model" * 50])
def test_load_refuses_when_the_file_is_foreign(small_export, load_session, forged, data):
    copy, exported = forged(*small_export(FP32, method="tflite"), "model.tflite", data)
    with pytest.raises(UserError, match=r"model\.tflite: not a TFLite file"):
        load_session(copy, exported)


def test_load_refuses_when_the_record_has_another_shape(small_export, load_session, reshaped):
    folder, exported = small_export(FP32, method="tflite")
    with pytest.raises(
        UserError, match=r"takes \S+ \(1, 8, 10, 3\), exported.json says \S+ \(1, 10, 8, 3\)"
    ):
        load_session(folder, reshaped(exported, shape=(1, 3, 10, 8)))


@pytest.mark.parametrize("shape", [(2, 3, 8, 10), (1, 8, 10, 3), (3, 8, 10)])
def test_run_refuses_when_the_batch_has_another_shape(small_export, load_session, shape):
    session = load_session(*small_export(FP32, method="tflite"))
    with pytest.raises(UserError, match="the export takes float32"):
        session.run(np.zeros(shape, np.float32))


def test_run_refuses_when_the_batch_is_float64(small_export, load_session, images):
    session = load_session(*small_export(FP32, method="tflite"))
    with pytest.raises(UserError, match="got float64"):
        session.run(images[:1].astype(np.float64))
