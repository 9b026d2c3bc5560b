"""Every operator of ONNX that is known here, by its name."""

from __future__ import annotations

from typing import Final

from edgepress.backbones._onnx import elementwise, layers, reductions, resizing, shapes
from edgepress.backbones._onnx.node import Operator

OPERATORS: Final[dict[str, Operator]] = {
    name: operator
    for family in (elementwise, layers, reductions, resizing, shapes)
    for name, operator in family.OPERATORS.items()
}
