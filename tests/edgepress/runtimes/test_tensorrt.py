"""TensorRT itself needs a GPU; TensorRT-RTX, which has the same interface, builds without one."""

from __future__ import annotations

import ctypes
import shutil
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgepress.errors import UserError
from edgepress.export import rtx
from edgepress.records.exported import Exported
from edgepress.runtimes import cuda, tensorrt_build
from edgepress.runtimes.engine import EngineSession
from edgepress.runtimes.session import NotHere
from edgepress.runtimes.tensorrt_build import CannotBuildError, Gpu, build, refuse_foreign

FP32 = "jetson-tensorrt-fp32"
OPTIONS = {"method": "tensorrt", "versions": ["10"]}
ORIN = Gpu("Orin", "8.7", "12.6")


@pytest.fixture
def bundle(small_export, tmp_path) -> Path:
    """A copy of an exported bundle, to build in."""
    folder, _ = small_export(FP32, **OPTIONS)
    return Path(shutil.copytree(folder, tmp_path / "bundle"))


@pytest.fixture
def trt10(monkeypatch) -> Any:
    """TensorRT-RTX under TensorRT's name, aimed at a GPU that is not there."""
    real = pytest.importorskip("tensorrt_rtx_bindings")
    names = ("Logger", "Builder", "OnnxParser", "NetworkDefinitionCreationFlag", "Runtime")
    parts = {name: getattr(real, name) for name in names}
    monkeypatch.setattr(tensorrt_build, "compile_engine", lambda onnx, trt: rtx.build(onnx, 86)[0])
    return types.SimpleNamespace(__version__="10.3.0", **parts)


def test_stand_in_answers_as_the_network_when_there_is_no_gpu(
    small_export, load_session, small_network, images
):
    session = load_session(*small_export(FP32, **OPTIONS), "stand_in")
    expected = small_network(torch.from_numpy(images)).detach().numpy()
    answers = np.concatenate([session.run(image[None]) for image in images])
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_load_says_not_here_when_there_is_no_driver(small_export, load_session, monkeypatch):
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    with pytest.raises(NotHere, match="no NVIDIA driver on this machine"):
        load_session(*small_export(FP32, **OPTIONS))


def test_load_refuses_when_the_graph_was_changed(small_export, load_session, bundle):
    (bundle / "model.onnx").write_bytes(b"another graph")
    _, exported = small_export(FP32, **OPTIONS)
    with pytest.raises(UserError, match=r"model\.onnx: changed since it was exported"):
        load_session(bundle, exported)


def test_engine_is_accepted_when_it_was_built_here(bundle, trt10):
    sidecar = build(bundle, trt10, ORIN)
    assert sidecar["tensorrt"] == "10.3.0"
    assert sidecar["gpu"] == "Orin"
    assert refuse_foreign(bundle, "10.3.0", ORIN) == (bundle / "model.engine").read_bytes()


@pytest.mark.parametrize(
    ("version", "gpu", "reason"),
    [
        ("10.4.0", ORIN, "tensorrt is 10.3.0 there and 10.4.0 here"),
        ("10.3.0", ORIN._replace(name="Xavier"), "gpu is Orin there and Xavier here"),
        ("10.3.0", ORIN._replace(compute_capability="7.2"), "compute_capability is 8.7 there"),
        ("10.3.0", ORIN._replace(cuda="13.0"), "cuda is 12.6 there and 13.0 here"),
    ],
)
def test_engine_is_refused_when_it_was_built_elsewhere(bundle, trt10, version, gpu, reason):
    build(bundle, trt10, ORIN)
    with pytest.raises(CannotBuildError, match=f"is foreign: {reason}"):
        refuse_foreign(bundle, version, gpu)


@pytest.mark.parametrize("name", ["model.engine", "model.onnx"])
def test_engine_is_refused_when_a_file_changed_after_the_build(bundle, trt10, name):
    build(bundle, trt10, ORIN)
    (bundle / name).write_bytes((bundle / name).read_bytes() + b"!")
    with pytest.raises(CannotBuildError, match="is foreign: .*_sha256"):
        refuse_foreign(bundle, "10.3.0", ORIN)


def test_engine_is_refused_when_there_is_none_or_its_sidecar_is_damaged(bundle, trt10):
    with pytest.raises(CannotBuildError, match="is not there: run build.py here"):
        refuse_foreign(bundle, "10.3.0", ORIN)
    build(bundle, trt10, ORIN)
    (bundle / "model.engine.json").write_text("{")
    with pytest.raises(CannotBuildError, match="is damaged: run build.py here"):
        refuse_foreign(bundle, "10.3.0", ORIN)


def test_build_refuses_when_the_version_is_not_in_the_recipe(bundle, trt10):
    trt10.__version__ = "11.4.0"
    with pytest.raises(CannotBuildError, match=r"TensorRT 11.4.0: this recipe is for 10\.x"):
        build(bundle, trt10, ORIN)
    assert not (bundle / "model.engine").exists()


def test_build_refuses_when_the_graph_is_not_the_recipes(bundle, trt10):
    (bundle / "model.onnx").write_bytes(b"another graph")
    with pytest.raises(CannotBuildError, match=r"is not the file that build\.json names"):
        build(bundle, trt10, ORIN)


def test_old_engine_is_refused_when_a_later_build_was_cut_short(bundle, trt10, monkeypatch):
    build(bundle, trt10, ORIN)

    def killed(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tensorrt_build, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        build(bundle, trt10, ORIN)
    with pytest.raises(CannotBuildError, match="run build.py here"):
        refuse_foreign(bundle, "10.3.0", ORIN)


class Driver:
    """The driver's calls on the host's own memory: same arguments, same order, no GPU."""

    def __init__(self, capability: tuple[int, int] = (8, 7), count: int = 1) -> None:
        self.attributes = {75: capability[0], 76: capability[1]}
        self.count = count
        self.memory: dict[int, ctypes.Array[ctypes.c_char]] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("cuInit", "cuDevicePrimary", "cuCtx", "cuStream")):
            return lambda *arguments: 0
        raise AttributeError(name)

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: int) -> int:  # noqa: N802
        name.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: int) -> int:  # noqa: N802
        value._obj.value = self.attributes[attribute]
        return 0

    def cuDriverGetVersion(self, value: Any) -> int:  # noqa: N802
        value._obj.value = 12060
        return 0

    def cuMemAlloc_v2(self, address: Any, size: Any) -> int:  # noqa: N802
        if size.value > 1 << 20:
            return 2
        block = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(block)
        self.memory[address._obj.value] = block
        return 0

    def cuMemcpyHtoDAsync_v2(self, to: Any, source: Any, size: Any, stream: Any) -> int:  # noqa: N802
        ctypes.memmove(to.value, source.value, size.value)
        return 0

    def cuMemcpyDtoHAsync_v2(self, to: Any, source: Any, size: Any, stream: Any) -> int:  # noqa: N802
        ctypes.memmove(to.value, source.value, size.value)
        return 0

    def cuMemFree_v2(self, address: Any) -> int:  # noqa: N802
        del self.memory[address.value]
        return 0


@pytest.fixture
def driver(monkeypatch) -> Driver:
    fake = Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: fake)
    return fake


def test_gpu_is_described_when_the_driver_knows_one(driver):
    assert tensorrt_build.find_gpu() == ORIN
    driver.count = 0
    with pytest.raises(CannotBuildError, match="no NVIDIA GPU"):
        tensorrt_build.find_gpu()


def test_driver_call_that_fails_is_named_when_memory_runs_out(driver):
    with pytest.raises(cuda.CudaError, match="cuMemAlloc_v2 failed with CUDA error 2"):
        cuda.Buffers({"image": np.zeros(1 << 22, np.float32)})


class Engine:
    """Stands for an engine of TensorRT: the network's answer is the five first input values."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}

    def create_execution_context(self) -> Engine:
        return self

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {"image": (1, 3, 8, 10), "logits": (1, 5)}[name]

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        ctypes.memmove(self.addresses["logits"], self.addresses["image"], 5 * 4)
        return True


def engine_session(exported: Exported, engine: Engine) -> EngineSession:
    runtime = types.SimpleNamespace(deserialize_cuda_engine=lambda data: engine)
    logger = type("Logger", (), {"ERROR": 0, "__init__": lambda self, level: None})
    trt = types.SimpleNamespace(Logger=logger, Runtime=lambda logger: runtime)
    return EngineSession(trt, b"engine", exported)


def test_session_moves_input_and_output_through_the_device_when_run(driver, small_export, images):
    _, exported = small_export(FP32, **OPTIONS)
    session = engine_session(exported, Engine())
    for image in images[:3]:
        answer = session.run({"image": image[None]})["logits"]
        np.testing.assert_array_equal(answer[0], image.ravel()[:5])
    with pytest.raises(UserError, match="the export takes float32"):
        session.run({"image": images[:2]})
    session.close()
    assert not driver.memory
