"""Where and how a network is trained: device, memory format, autocast and compilation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from edgepress.errors import UserError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""auto takes bfloat16 where the hardware multiplies it natively, else float32."""


def device() -> torch.device:
    """Return the first CUDA device, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def place(network: nn.Module, on: torch.device) -> nn.Module:
    """Move a network to a device, its weights in the layout that suits both."""
    return network.to(device=on, memory_format=layout(network, on))  # type: ignore[call-overload,no-any-return]


def layout(network: nn.Module, on: torch.device) -> torch.memory_format:
    """Return channels last, which is faster for convolutions, wherever it is safe."""
    # torch converts every weight of four or five dimensions, and refuses the latter.
    flat = all(weight.ndim != 5 for weight in network.state_dict().values())
    safe = flat and (on.type != "cpu" or not any(map(_overruns, network.modules())))
    return torch.channels_last if safe else torch.contiguous_format


def arrange(images: Tensor, layout: torch.memory_format) -> Tensor:
    """Return images [N, C, H, W] in a memory layout, told by its strides even for one channel."""
    if layout is torch.channels_last:
        return images.contiguous(memory_format=layout)
    # A single channel is contiguous both ways, and kernels go by the strides it happens to have.
    return images.clone(memory_format=layout)


def _overruns(module: nn.Module) -> bool:
    """Tell a layer whose channels-last gradient corrupts memory on the CPU.

    torch 2.14.1's oneDNN writes past its buffer for strided 1x1 convolutions of few channels: fewer
    than 8 on AVX2, 8 as well on AVX-512. glibc then aborts with "corrupted double-linked list", or
    the process ends by SIGSEGV. 9 to 15 were not seen to, but AVX-512's registers hold 16 numbers.
    Either the weight or the image being channels last is enough for it to choose that kernel.
    """
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < 16
    )


def autocast(precision: Precision, on: torch.device) -> AbstractContextManager[object]:
    """Return the autocast context of a precision on a device."""
    if precision == "fp16":
        return torch.autocast(on.type, dtype=torch.float16)
    if precision == "fp32" or (precision == "auto" and not has_native_bfloat16(on)):
        return nullcontext()
    return torch.autocast(on.type, dtype=torch.bfloat16)


def refuse(precision: Precision, batch: int | Literal["auto"], on: torch.device) -> None:
    """Refuse what the device cannot train by."""
    if batch == "auto" and on.type != "cuda":
        raise UserError(
            "training: batch auto needs a CUDA device, whose memory says what fits, and there is "
            "none here; write a number, such as 32"
        )
    if precision == "fp16" and on.type != "cuda":
        raise UserError(
            "training: precision fp16 needs a CUDA device, and there is none here; set bf16 or fp32"
        )


def has_native_bfloat16(on: torch.device) -> bool:
    """Tell whether bfloat16 is computed by the hardware rather than emulated."""
    if on.type == "cuda":
        return torch.cuda.get_device_capability(on) >= (8, 0)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
