"""The few calls of the CUDA driver that feed an engine, without a package for them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

from edgepress.records.tensors import Array


class CudaError(RuntimeError):
    """A call of the driver failed."""


class Buffers:
    """Named tensors on the first GPU, a stream, and the copies between them and the host."""

    def __init__(self, held: Mapping[str, Array]) -> None:
        """Allocate device memory for each of `held`, the host's copies."""
        self._cuda: Any = ctypes.CDLL("libcuda.so.1")
        self._context, self._stream = ctypes.c_void_p(), ctypes.c_void_p()
        self._host = dict(held)
        self._device = {name: ctypes.c_uint64() for name in held}
        self._call("cuInit", 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), 0)
        self._call("cuCtxSetCurrent", self._context)
        self._call("cuStreamCreate", ctypes.byref(self._stream), 0)
        for name, array in self._host.items():
            size = ctypes.c_size_t(array.nbytes)
            self._call("cuMemAlloc_v2", ctypes.byref(self._device[name]), size)

    def address(self, name: str) -> int:
        """Return the device address of a tensor."""
        return self._device[name].value

    @property
    def stream(self) -> int:
        """Handle of the stream everything is queued on."""
        return self._stream.value or 0

    def upload(self, name: str, array: Array) -> None:
        """Copy a C-contiguous array to a tensor."""
        size = ctypes.c_size_t(array.nbytes)
        source = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyHtoDAsync_v2", self._device[name], source, size, self._stream)

    def download(self, names: Sequence[str]) -> list[Array]:
        """Wait for the stream and return copies of some tensors."""
        for name in names:
            host = self._host[name]
            target, size = ctypes.c_void_p(host.ctypes.data), ctypes.c_size_t(host.nbytes)
            self._call("cuMemcpyDtoHAsync_v2", target, self._device[name], size, self._stream)
        self._call("cuStreamSynchronize", self._stream)
        return [self._host[name].copy() for name in names]

    def close(self) -> None:
        """Free the tensors, the stream and the hold on the device."""
        for address in self._device.values():
            self._call("cuMemFree_v2", address)
        self._call("cuStreamDestroy_v2", self._stream)
        self._call("cuDevicePrimaryCtxRelease_v2", 0)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._cuda, name)(*arguments)
        if status:
            raise CudaError(f"{name} failed with CUDA error {status}")
