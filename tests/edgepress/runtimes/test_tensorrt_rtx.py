"""No GPU is needed: the driver is replaced where a test is about what happens beside one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from edgepress.errors import UserError
from edgepress.runtimes import tensorrt_rtx
from edgepress.runtimes.session import NotHere
from edgepress.runtimes.tensorrt_build import CannotBuildError, Gpu

trt = pytest.importorskip("tensorrt_rtx_bindings")
FP32 = "rtx-tensorrt_rtx-fp32"
OPTIONS = {"method": "tensorrt_rtx", "compute_capability": 86}


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that this machine has a GPU of some compute capability, or none."""

    def pretend(capability: str | None) -> None:
        def find() -> Gpu:
            if capability is None:
                raise CannotBuildError("no NVIDIA GPU on this machine")
            return Gpu("GeForce", capability, "13.0")

        monkeypatch.setattr(tensorrt_rtx, "find_gpu", find)

    return pretend


def test_stand_in_answers_as_the_network_when_there_is_no_gpu(
    small_export, load_session, small_network, images
):
    session = load_session(*small_export(FP32, **OPTIONS), "stand_in")
    expected = small_network(torch.from_numpy(images)).detach().numpy()
    answers = np.concatenate([session.run(image[None]) for image in images])
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_load_says_not_here_when_there_is_no_gpu(small_export, load_session, gpu):
    gpu(None)
    with pytest.raises(NotHere, match="no NVIDIA GPU on this machine"):
        load_session(*small_export(FP32, **OPTIONS))


def test_load_says_not_here_when_the_gpu_is_of_another_generation(small_export, load_session, gpu):
    gpu("8.9")
    with pytest.raises(NotHere, match=r"for compute_capability 8.6, this machine has 8.9"):
        load_session(*small_export(FP32, **OPTIONS))


def test_load_says_not_here_when_another_version_built_the_engine(
    small_export, load_session, forged, gpu
):
    gpu("8.6")
    folder, exported = small_export(FP32, **OPTIONS)
    sidecar = json.loads((folder / "model.engine.json").read_text())
    data = json.dumps({**sidecar, "tensorrt_rtx": "0.1"}).encode()
    copy, changed = forged(folder, exported, "model.engine.json", data)
    with pytest.raises(NotHere, match=f"for tensorrt_rtx 0.1, this machine has {trt.__version__}"):
        load_session(copy, changed)


def test_load_says_not_here_when_tensorrt_refuses_the_engine(
    small_export, load_session, gpu, monkeypatch
):
    """The real library, asked to load a real engine: without a driver it returns none."""
    gpu("8.6")
    try:
        from edgepress.runtimes.tensorrt_build import find_gpu

        find_gpu()
    except CannotBuildError:
        with pytest.raises(NotHere, match="cannot load this engine on this machine"):
            load_session(*small_export(FP32, **OPTIONS))
    else:
        pytest.skip("this machine has a GPU")


def test_load_refuses_when_the_engine_was_changed(small_export, load_session, forged, gpu):
    gpu("8.6")
    folder, exported = small_export(FP32, **OPTIONS)
    copy, _ = forged(folder, exported, "model.engine", b"another engine")
    with pytest.raises(UserError, match=r"model\.engine: changed since it was exported"):
        load_session(copy, exported)


@pytest.mark.parametrize("data", [b"{", b"[]"])
def test_load_refuses_when_the_sidecar_is_damaged(small_export, load_session, forged, gpu, data):
    gpu("8.6")
    copy, exported = forged(*small_export(FP32, **OPTIONS), "model.engine.json", data)
    with pytest.raises(UserError, match=r"model\.engine\.json: "):
        load_session(copy, exported)
