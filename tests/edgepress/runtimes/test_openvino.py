from __future__ import annotations

import numpy as np
import pytest
import torch

from edgepress.errors import UserError
from edgepress.runtimes import bare

FP32 = "x86_64-openvino-fp32"


def test_logits_equal_the_networks_when_the_file_is_float(
    small_export, load_session, small_network, images
):
    session = load_session(*small_export(FP32, method="openvino"))
    expected = small_network(torch.from_numpy(images)).detach().numpy()
    answers = np.concatenate([session.run(image[None]) for image in images])
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_answer_is_unchanged_when_another_image_follows(small_export, load_session, images):
    session = load_session(*small_export(FP32, method="openvino"))
    first = session.run(images[:1])
    kept = first.copy()
    session.run(images[1:2])
    np.testing.assert_array_equal(first, kept)


def test_load_refuses_when_the_weights_were_changed(small_export, load_session, forged):
    folder, exported = small_export(FP32, method="openvino")
    copy, _ = forged(folder, exported, "model.bin", b"other weights")
    with pytest.raises(UserError, match=r"model\.bin: changed since it was exported"):
        load_session(copy, exported)


@pytest.mark.parametrize(("name", "data"), [("model.xml", b"<net/>"), ("model.bin", b"short")])
def test_load_refuses_when_a_file_is_foreign(small_export, load_session, forged, name, data):
    copy, exported = forged(*small_export(FP32, method="openvino"), name, data)
    with pytest.raises(UserError, match=r"model\.xml: OpenVINO refuses it"):
        load_session(copy, exported)


def test_load_refuses_when_the_record_has_another_shape(small_export, load_session, reshaped):
    folder, exported = small_export(FP32, method="openvino")
    with pytest.raises(UserError, match=r"takes image \(1, 3, 8, 10\), exported.json says"):
        load_session(folder, reshaped(exported, shape=(1, 1, 8, 10)))


def test_run_refuses_when_the_batch_has_another_shape(small_export, load_session):
    session = load_session(*small_export(FP32, method="openvino"))
    with pytest.raises(UserError, match="the export takes float32"):
        session.run(np.zeros((1, 8, 10, 3), np.float32))


def test_bare_file_runs_as_the_session_does_when_opened_alone(small_export, load_session, images):
    folder, exported = small_export(FP32, method="openvino")
    alone = bare.load(folder / exported.part.entry, 1, {})
    (slot,) = alone.inputs
    (port,) = exported.part.inputs
    assert (slot.name, slot.shape, slot.dtype) == (port.stored, port.stored_shape, np.float32)
    stored = images[:1].transpose([port.tensor.layout.index(axis) for axis in port.layout])
    found = np.asarray(alone.run([np.ascontiguousarray(stored)])[0])
    np.testing.assert_array_equal(found, load_session(folder, exported).run(images[:1]))
    alone.close()
