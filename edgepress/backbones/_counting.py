"""Parameters and multiply-accumulates of a network, counted on one forward pass.

The pass is watched at torch's operators, below all modules: whatever a network calls to multiply
matrices is seen, in attention, einsum or a loop over time. Published figures count the same way;
fvcore's, which timm prints, add 1 to 5 per element of every normalisation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Count:
    """What one item costs."""

    macs: int
    """Multiply-accumulates of everything that sums products: convolutions, linear layers, matrix
    products, attention, recurrent layers."""
    products: int
    """Element-wise products: gates, scales, and a scan's steps h = a * h + b * x or cumprod.
    Normalisation, activation, pooling and interpolation are in neither."""
    uncounted: tuple[str, ...]
    """Operators that may multiply and have no formula here: a custom one, a Fourier transform.
    What an extension computes without torch's dispatcher is not seen at all."""


def parameters(network: nn.Module) -> int:
    """Return the number of trainable and frozen weights, buffers left out."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Return multiply-accumulates of one item of a batch of `shape`; see `count`."""
    return count(network, shape).macs


def count(network: nn.Module, shape: tuple[int, ...]) -> Count:
    """Count what one item of a batch of `shape` costs, in eval mode where the network lies.

    On the device `meta` nothing is computed.
    """
    training, whole = network.training, torch.backends.mha.get_fastpath_enabled()
    watch = _Watch()
    try:
        network.eval()
        torch.backends.mha.set_fastpath_enabled(False)  # one operator for a whole layer
        with torch.no_grad(), watch:  # inference_mode would hide what composite operators call
            network(torch.zeros(shape, device=next(network.parameters()).device))
    finally:
        torch.backends.mha.set_fastpath_enabled(whole)
        network.train(training)
    items = shape[0]
    return Count(watch.macs // items, watch.products // items, tuple(sorted(watch.uncounted)))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the operators that run while it is on."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = self.products = 0
        self.uncounted: set[str] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,  # noqa: ARG002
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(func, HigherOrderOperator):  # What it calls in turn is not seen.
            self.uncounted.add(func.name())  # type: ignore[no-untyped-call]
        elif func.namespace != "aten":
            if func.namespace not in _HARMLESS:
                self.uncounted.add(func.overloadpacket._qualified_op_name)
        else:
            self._add(func.overloadpacket.__name__.rstrip("_"), args, out)
        return out

    def _add(self, name: str, args: tuple[Any, ...], out: Any) -> None:
        if name in _SUMS:
            self.macs += _SUMS[name](args, out)
        elif name in _PRODUCTS:
            self.products += args[0].numel() if name in _OF_INPUT else out.numel()
        elif _MAY_MULTIPLY.search(name):
            self.uncounted.add(name)


_HARMLESS = ("prim", "prims", "profiler")


def _matrices(left: int) -> Callable[[tuple[Any, ...], Any], int]:
    """Return the formula of [..., m, k] @ [..., k, n] or [..., k, n] @ [n], at argument `left`."""

    def formula(args: tuple[Any, ...], _out: Any) -> int:
        first, second = args[left], args[left + 1]
        return int(first.numel() * (second.shape[-1] if second.ndim > 1 else 1))

    return formula


def _convolution(args: tuple[Any, ...], out: Tensor) -> int:
    """Each output, or each input where it is transposed, meets one kernel of its group."""
    image, weight, transposed = args[0], args[1], args[6]
    return int((image if transposed else out).numel() * weight[0].numel())


def _attention(args: tuple[Any, ...], _out: Any) -> int:
    """Every query meets every key, and every weight every value, masked or not."""
    query, key, value = args[:3]
    rows = query.numel() // query.shape[-1]
    return int(rows * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _recurrent(args: tuple[Any, ...], _out: Any) -> int:
    """One layer of an LSTM on the CPU: input [T, N, C] meets both weight matrices each step."""
    image, *weights = args[:3]
    return int(math.prod(image.shape[:2]) * sum(weight.numel() for weight in weights))


_SUMS: dict[str, Callable[[tuple[Any, ...], Any], int]] = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot"), _matrices(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv"), _matrices(1)),
    **dict.fromkeys(("convolution", "convolution_overrideable"), _convolution),
    **dict.fromkeys(
        (
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
        ),
        _attention,
    ),
    "mkldnn_rnn_layer": _recurrent,
}
_OF_INPUT = ("cumprod", "prod")
_PRODUCTS = ("mul", "addcmul", "lerp", "addr", *_OF_INPUT)
_MAY_MULTIPLY = re.compile(
    r"^(?!_?upsample|linalg_vector_norm|_convert)"
    r".*((mm|mv)(_|$)|conv|attention|transformer|rnn|lstm|gru|linear|matmul|linalg|fft|cdist|ormqr)"
)
