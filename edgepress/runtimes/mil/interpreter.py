"""Interpreter: runs a Core ML program in NumPy, in the precision the program declares."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgepress.runtimes.mil import elementwise, layers, shapes
from edgepress.runtimes.mil.program import Operation, Program, Reference
from edgepress.runtimes.session import NotHere

_TABLE: Final = {**elementwise.OPERATIONS, **layers.OPERATIONS, **shapes.OPERATIONS}


class Interpreter:
    """One program ready to run; weights are unpacked once.

    Sums are taken in float32; a value declared FLOAT16 is rounded to it, as the device would store
    it, and kept as float32.
    """

    def __init__(self, program: Program) -> None:
        """Unpack the weights; an operation that is not known here is NotHere with its name."""
        unknown = sorted({step.kind for step in program.operations} - set(_TABLE) - {"const"})
        if unknown:
            raise NotHere(
                f"the reference interpreter does not know {', '.join(unknown)}; "
                "run this target on a Mac"
            )
        self._program = program
        self._constants: dict[str, Any] = {}
        self._steps: list[Operation] = []
        for step in program.operations:
            if step.kind == "const":
                self._constants[step.outputs[0]] = _stored(step.constants["val"])
            elif step.kind.startswith("constexpr_"):
                self._execute(step, self._constants)
            else:
                self._steps.append(step)

    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Return the program's outputs by name for inputs by name."""
        values = {**self._constants, **inputs}
        for step in self._steps:
            self._execute(step, values)
        return {name: np.asarray(values[name]) for name in self._program.outputs}

    @staticmethod
    def _execute(step: Operation, values: dict[str, Any]) -> None:
        """Run one operation and add what it writes to `values`."""
        arguments: dict[str, Any] = {name: _stored(v) for name, v in step.constants.items()}
        for name, references in step.arguments.items():
            found = tuple(
                values[reference] if isinstance(reference, Reference) else _stored(reference)
                for reference in references
            )
            arguments[name] = found if name == "values" else found[0]
        answer = _TABLE[step.kind](**arguments)
        answers = answer if isinstance(answer, tuple) else (answer,)
        for name, dtype, array in zip(step.outputs, step.dtypes, answers, strict=True):
            values[name] = _rounded(array, dtype)


def _stored(value: Any) -> Any:
    """Return a constant as it is worked with: float16 widened, everything else unchanged."""
    is_half = isinstance(value, np.ndarray) and value.dtype == np.float16
    return value.astype(np.float32) if is_half else value


def _rounded(array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Round to the declared type; floats stay float32 in memory."""
    if dtype == "FLOAT16":
        return array.astype(np.float16).astype(np.float32)
    return array.astype(np.float32) if dtype == "FLOAT32" else array
