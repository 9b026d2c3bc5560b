"""Border: what goes into a session, and what its file holds, is what exported.json says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgepress.errors import UserError
from edgepress.records.exported import Exported, Port
from edgepress.records.tensors import Array, Tensors, permutation


def expect(inputs: Tensors, exported: Exported) -> list[Array]:
    """Return the inputs in the file's order and layout; a wrong name, shape or type: UserError."""
    wanted = exported.part.inputs
    if set(inputs) != {port.tensor.name for port in wanted}:
        names = ", ".join(port.tensor.name for port in wanted)
        raise UserError(f"{exported.target}: takes {names}, got {', '.join(inputs) or 'nothing'}")
    return [_stored(inputs[port.tensor.name], port, exported) for port in wanted]


def answer(port: Port, values: Any) -> Array:
    """Return an output of the file, of its layout, as the session gives it."""
    array = np.asarray(values)
    spec = port.tensor
    if port.layout != spec.layout:
        array = array.transpose(permutation(port.layout, spec.layout))
    return array if array.dtype == spec.dtype else array.astype(spec.dtype)


def check_shapes(found: Mapping[str, Any], exported: Exported, where: object) -> None:
    """Compare the file's own inputs, name -> shape, with exported.json; else a UserError."""
    expected = {port.stored: port.stored_shape for port in exported.part.inputs}
    shapes = {name: tuple(int(size) for size in shape) for name, shape in found.items()}
    if shapes != expected:
        raise UserError(
            f"{where}: takes {_words(shapes)}, exported.json says {_words(expected)}; "
            f"export {exported.target} again"
        )


def _stored(array: Array, port: Port, exported: Exported) -> Array:
    spec = port.tensor
    if array.shape != spec.shape or array.dtype != spec.dtype:
        raise UserError(
            f"{exported.target}: {spec.name}: got {array.dtype} {array.shape}, the export takes "
            f"{spec.dtype} {spec.shape}; prepare the item by the export's input record"
        )
    if port.layout == spec.layout:
        return array
    return array.transpose(permutation(spec.layout, port.layout))


def _words(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())
