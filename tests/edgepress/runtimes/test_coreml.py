from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from edgepress.errors import UserError
from edgepress.runtimes.session import NotHere

TARGET = "apple-coreml-fp32"
OPTIONS = {"method": "coreml", "minimum_deployment_target": "iOS17"}
MODEL = "model.mlpackage/Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac runs Core ML")
def test_load_says_where_to_go_when_the_host_is_no_mac(small_export, load_session):
    with pytest.raises(NotHere, match="on a Mac"):
        load_session(*small_export(TARGET, **OPTIONS))


@pytest.mark.skipif(sys.platform != "darwin", reason="Core ML runs on a Mac only")
def test_logits_equal_the_networks_when_the_host_is_a_mac(
    small_export, load_session, small_network, images
):
    session = load_session(*small_export(TARGET, **OPTIONS))
    expected = small_network(torch.from_numpy(images)).detach().numpy()
    answers = np.concatenate([session.run(image[None]) for image in images])
    np.testing.assert_allclose(answers, expected, atol=1e-3)


def test_stand_in_equals_the_network_when_the_file_is_float(
    small_export, load_session, small_network, images
):
    session = load_session(*small_export(TARGET, **OPTIONS), "stand_in")
    expected = small_network(torch.from_numpy(images)).detach().numpy()
    answers = np.concatenate([session.run(image[None]) for image in images])
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_stand_in_imports_neither_torch_nor_coremltools_when_alone(small_export):
    folder, _ = small_export(TARGET, **OPTIONS)
    code = f"""
import sys, pathlib
from edgepress.records.exported import Exported
from edgepress.runtimes import coreml
folder = pathlib.Path({str(folder)!r})
params = coreml.Params(method="coreml", threads=1)
coreml.stand_in(folder, Exported.read(folder), params=params)
sys.exit(bool({{"torch", "coremltools"}} & set(sys.modules)))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stand_in_refuses_when_a_file_is_missing(small_export, load_session, tmp_path):
    _, exported = small_export(TARGET, **OPTIONS)
    with pytest.raises(UserError, match="file not found"):
        load_session(tmp_path, exported, "stand_in")


@pytest.mark.parametrize("data", [b"", b"not a model" * 50])
def test_stand_in_refuses_when_the_model_is_foreign(small_export, load_session, forged, data):
    copy, exported = forged(*small_export(TARGET, **OPTIONS), MODEL, data)
    with pytest.raises(
        UserError, match=r"model\.mlmodel: (not a Core ML model|holds no ML program)"
    ):
        load_session(copy, exported, "stand_in")


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_stand_in_refuses_when_the_weights_are_cut_short(small_export, load_session, forged, size):
    folder, exported = small_export(TARGET, **OPTIONS)
    data = (folder / WEIGHTS).read_bytes()[:size]
    copy, record = forged(folder, exported, WEIGHTS, data)
    with pytest.raises(UserError, match=r"weight\.bin: damaged or cut short"):
        load_session(copy, record, "stand_in")


def test_stand_in_refuses_when_the_record_names_another_output(small_export, load_session):
    folder, exported = small_export(TARGET, **OPTIONS)
    (port,) = exported.part.outputs
    renamed = exported.part.model_copy(
        update={"outputs": (port.model_copy(update={"stored": "scores"}),)}
    )
    with pytest.raises(UserError, match=r"gives logits, exported.json says scores"):
        load_session(folder, exported.model_copy(update={"parts": (renamed,)}), "stand_in")


def test_run_refuses_when_the_batch_has_another_shape(small_export, load_session):
    session = load_session(*small_export(TARGET, **OPTIONS), "stand_in")
    with pytest.raises(UserError, match="the export takes float32"):
        session.run(np.zeros((1, 8, 10, 3), np.float32))
