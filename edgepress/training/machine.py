"""Where and how a network is trained: device, memory format, autocast and compilation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "fp32", "bf16"]
"""auto takes bfloat16 where the hardware multiplies it natively, else float32."""


def device() -> torch.device:
    """Return the first CUDA device, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def place(network: nn.Module, on: torch.device) -> nn.Module:
    """Move a network to a device, channels last in memory (faster for convolutions on both)."""
    return network.to(device=on, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def autocast(precision: Precision, on: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of a precision on a device."""
    if precision == "fp32" or (precision == "auto" and not has_native_bfloat16(on)):
        return nullcontext()
    return torch.autocast(on.type, dtype=torch.bfloat16)


def has_native_bfloat16(on: torch.device) -> bool:
    """Tell whether bfloat16 is computed by the hardware rather than emulated."""
    if on.type == "cuda":
        return torch.cuda.get_device_capability(on) >= (8, 0)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
