"""Build a TensorRT-RTX engine ahead of time, without a GPU, for one compute capability."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Literal, get_args

from edgepress.export.graph import Scheme
from edgepress.export.toolchain import Toolchain
from edgepress.runtimes.tensorrt_build import compile_engine

Capability = Literal[75, 80, 86, 89, 120, 121]
"""What TensorRT-RTX can build for without the GPU at hand: Turing to Blackwell."""

PACKAGES = ("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu13-libs")

TENSORRT = Scheme(
    signed_activations=True,
    symmetric_activations=True,
    reduce_range=False,
    int32_bias=False,
    only_weighted_inputs=True,
    holds=Toolchain(
        "TensorRT",
        weight_bits=(8, 16, 32),
        activation_bits=(8, 16, 32),
        activation_zero_points=False,
    ),
)
"""What TensorRT's parser takes: no zero points, float biases, Q/DQ before layers with weights."""


def installed() -> bool:
    """Say whether the bindings can be imported here; they exist for x86-64 only."""
    return importlib.util.find_spec("tensorrt_rtx_bindings") is not None


def dotted(capability: int) -> str:
    """Return a capability as the driver writes it: 86 is 8.6."""
    major, minor = divmod(capability, 10)
    return f"{major}.{minor}"


def build(onnx: bytes, capability: int) -> tuple[bytes, str]:
    """Return the engine and the version that built it; a refused graph is a CannotBuildError."""
    if capability not in get_args(Capability):
        raise ValueError(f"compute capability {capability} is not one of {get_args(Capability)}")
    trt = importlib.import_module("tensorrt_rtx_bindings")

    def aim(config: Any) -> None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), 0)

    return compile_engine(onnx, trt, aim), trt.__version__
