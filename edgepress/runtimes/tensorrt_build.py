"""Build this folder's TensorRT engine, on the device that will run it: `python3 build.py`.

It needs nothing but Python 3.8, TensorRT 10.x or 11.x and the NVIDIA driver. model.engine is
written with model.engine.json, which says what it was built by and for; an engine is of use on
that kind of GPU and with that version only. `python3 build.py --check` says whether the engine
that is here fits this device, and exits 1 if not. Set TENSORRT_PYTHON to name another module.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ONNX = "model.onnx"
ENGINE = "model.engine"
RECIPE = "build.json"
SIDECAR = f"{ENGINE}.json"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


class CannotBuildError(Exception):
    """Why there can be no engine here, or why the one that is here must not be used."""


class Gpu(NamedTuple):
    """The first GPU of this machine."""

    name: str
    compute_capability: str
    """For example 8.7."""
    cuda: str
    """Version of CUDA the driver supports, for example 12.6."""


def find_gpu() -> Gpu:
    """Ask the NVIDIA driver; no driver or no GPU is a CannotBuildError."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise CannotBuildError("no NVIDIA driver on this machine (libcuda.so.1)") from None
    number = ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(number)) or not number.value:
        raise CannotBuildError("no NVIDIA GPU on this machine")
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGetName(name, len(name), 0)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, 0)
        capability.append(str(number.value))
    cuda.cuDriverGetVersion(ctypes.byref(number))
    version = f"{number.value // 1000}.{number.value % 1000 // 10}"
    return Gpu(name.value.decode(), ".".join(capability), version)


def compile_engine(onnx: bytes, trt: Any, prepare: Callable[[Any], None] | None = None) -> bytes:
    """Return the serialized engine of an ONNX file; `prepare` may set the builder's config.

    Precision is in the graph alone: 10.x is asked for a strongly typed network, 11.x has no other.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise CannotBuildError("the graph was refused: " + "; ".join(errors))
    config = builder.create_builder_config()
    if prepare is not None:
        prepare(config)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise CannotBuildError("TensorRT built no engine; its messages above say why")
    return bytes(engine)


def describe(onnx: bytes, engine: bytes, version: str, gpu: Gpu) -> dict[str, str]:
    """Return the sidecar of an engine."""
    return {
        "tensorrt": version,
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "cuda": gpu.cuda,
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "engine_sha256": hashlib.sha256(engine).hexdigest(),
    }


def refuse_foreign(folder: Path, version: str, gpu: Gpu) -> bytes:
    """Return the engine in `folder` if it was built from its ONNX file for this very place."""
    try:
        sidecar = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        engine, onnx = (folder / ENGINE).read_bytes(), (folder / ONNX).read_bytes()
    except FileNotFoundError as error:
        raise CannotBuildError(f"{error.filename} is not there: run build.py here") from None
    except ValueError:
        raise CannotBuildError(f"{folder / SIDECAR} is damaged: run build.py here") from None
    for key, here in describe(onnx, engine, version, gpu).items():
        if sidecar.get(key) != here:
            raise CannotBuildError(
                f"{folder / ENGINE} is foreign: {key} is {sidecar.get(key)} there and {here} here: "
                "run build.py here"
            )
    return engine


def build(folder: Path, trt: Any, gpu: Gpu) -> dict[str, str]:
    """Build the engine of `folder`, write it with its sidecar and return the sidecar."""
    recipe = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    major = trt.__version__.split(".")[0]
    if major not in recipe["versions"]:
        versions = ".x, ".join(recipe["versions"])
        raise CannotBuildError(f"TensorRT {trt.__version__}: this recipe is for {versions}.x")
    onnx = (folder / ONNX).read_bytes()
    if hashlib.sha256(onnx).hexdigest() != recipe["onnx_sha256"]:
        raise CannotBuildError(f"{folder / ONNX} is not the file that {RECIPE} names")
    engine = compile_engine(onnx, trt)
    sidecar = describe(onnx, engine, trt.__version__, gpu)
    # The sidecar goes last: an engine without one is refused, so a build cut short is harmless.
    (folder / SIDECAR).unlink(missing_ok=True)
    _write(folder / ENGINE, engine)
    _write(folder / SIDECAR, (json.dumps(sidecar, indent=2) + "\n").encode())
    return sidecar


def main(arguments: list[str]) -> int:
    """Run the command in the folder this file lies in."""
    folder = Path(__file__).resolve().parent
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python3 build.py [--check]\n")
        return 2
    try:
        gpu = find_gpu()
        trt = _tensorrt()
        if arguments:
            refuse_foreign(folder, trt.__version__, gpu)
        else:
            build(folder, trt, gpu)
    except CannotBuildError as error:
        sys.stderr.write(f"build.py: {error}\n")
        return 1
    sys.stdout.write(f"{folder / ENGINE} fits TensorRT {trt.__version__} on {gpu.name}\n")
    return 0


def _tensorrt() -> Any:
    name = os.environ.get("TENSORRT_PYTHON", "tensorrt")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CannotBuildError(f"TensorRT's Python module cannot be imported: {error}") from None


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
