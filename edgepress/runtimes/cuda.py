"""The few calls of the CUDA driver that feed an engine, without a package for them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt


class CudaError(RuntimeError):
    """A call of the driver failed."""


class Buffers:
    """One input and one output on the first GPU, a stream, and the copies between."""

    def __init__(self, input_bytes: int, output: npt.NDArray[np.float32]) -> None:
        """Allocate device memory for the input and for `output`, the host's copy of the result."""
        self._cuda: Any = ctypes.CDLL("libcuda.so.1")
        self._context, self._stream = ctypes.c_void_p(), ctypes.c_void_p()
        self._input, self._output = ctypes.c_uint64(), ctypes.c_uint64()
        self._host = output
        self._call("cuInit", 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), 0)
        self._call("cuCtxSetCurrent", self._context)
        self._call("cuStreamCreate", ctypes.byref(self._stream), 0)
        self._call("cuMemAlloc_v2", ctypes.byref(self._input), ctypes.c_size_t(input_bytes))
        self._call("cuMemAlloc_v2", ctypes.byref(self._output), ctypes.c_size_t(output.nbytes))

    @property
    def input(self) -> int:
        """Device address of the input."""
        return self._input.value

    @property
    def output(self) -> int:
        """Device address of the output."""
        return self._output.value

    @property
    def stream(self) -> int:
        """Handle of the stream everything is queued on."""
        return self._stream.value or 0

    def upload(self, batch: npt.NDArray[np.float32]) -> None:
        """Copy a C-contiguous array to the input."""
        size = ctypes.c_size_t(batch.nbytes)
        source = ctypes.c_void_p(batch.ctypes.data)
        self._call("cuMemcpyHtoDAsync_v2", self._input, source, size, self._stream)

    def download(self) -> npt.NDArray[np.float32]:
        """Wait for the stream and return a copy of the output."""
        target = ctypes.c_void_p(self._host.ctypes.data)
        size = ctypes.c_size_t(self._host.nbytes)
        self._call("cuMemcpyDtoHAsync_v2", target, self._output, size, self._stream)
        self._call("cuStreamSynchronize", self._stream)
        return self._host.copy()

    def close(self) -> None:
        """Free both buffers, the stream and the hold on the device."""
        self._call("cuMemFree_v2", self._input)
        self._call("cuMemFree_v2", self._output)
        self._call("cuStreamDestroy_v2", self._stream)
        self._call("cuDevicePrimaryCtxRelease_v2", 0)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._cuda, name)(*arguments)
        if status:
            raise CudaError(f"{name} failed with CUDA error {status}")
