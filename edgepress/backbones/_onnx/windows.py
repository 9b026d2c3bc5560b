"""Windows: sizes, strides and paddings of convolutions and poolings as ONNX writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgepress.backbones._onnx.node import Node

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """A window over the last axes of a tensor."""

    size: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    """Padding in front of each axis."""
    after: Sizes
    ceil: bool = False

    @property
    def even(self) -> bool:
        """Whether both ends of every axis are padded alike."""
        return self.before == self.after

    @property
    def around(self) -> list[int]:
        """The padding in the order of torch: last axis first, in front and behind."""
        pairs = zip(self.before[::-1], self.after[::-1], strict=True)
        return [each for pair in pairs for each in pair]

    @property
    def without_padding(self) -> Window:
        """The same window on a tensor that is padded already."""
        none = (0,) * len(self.size)
        return Window(self.size, self.stride, self.dilation, none, none, self.ceil)

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields by name, plain values."""
        return {**vars(self)}


def window(node: Node, size: Sequence[int]) -> Window:
    """Return the window of a convolution or pooling; `auto_pad` is worked out from the shape."""
    axes = len(size)
    stride = tuple(node.attributes.get("strides", (1,) * axes))
    dilation = tuple(node.attributes.get("dilations", (1,) * axes))
    pads = tuple(node.attributes.get("pads", (0,) * 2 * axes))
    auto = node.attributes.get("auto_pad", "NOTSET")
    before, after = pads[:axes], pads[axes:]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = [
            _same(side, kernel, by, apart, auto)
            for side, kernel, by, apart in zip(
                node.shape()[-axes:], size, stride, dilation, strict=True
            )
        ]
        before, after = (tuple(each) for each in zip(*pairs, strict=True))
    ceil = bool(node.attributes.get("ceil_mode", 0))
    return Window(tuple(size), stride, dilation, before, after, ceil)


def _same(side: int, size: int, stride: int, dilation: int, auto: str) -> tuple[int, int]:
    """Return the padding with which an axis of `side` gives side / stride, rounded up."""
    whole = max(0, (-(-side // stride) - 1) * stride + (size - 1) * dilation + 1 - side)
    less, more = whole // 2, whole - whole // 2
    return (less, more) if auto == "SAME_UPPER" else (more, less)
