from __future__ import annotations

import numpy as np
import pytest

from edgepress.errors import UserError

FP32 = "x86_64-openvino-fp32"


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
