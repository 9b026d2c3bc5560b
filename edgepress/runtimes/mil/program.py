"""Program: a Core ML package (.mlpackage) read into named constants and a list of operations.

The schema classes are those coremltools carries; they are loaded from its folder without importing
coremltools itself, which takes 100 times as long and would bring torch into a runtime.
Format of the program: https://apple.github.io/coremltools/mlmodel/Format/MIL.html
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.runtimes.session import NotHere

Array = npt.NDArray[Any]
Value = Array | str | bool
"""A constant: an array, or the text and switches operations take as parameters."""

_MODEL: Final = Path("Data/com.apple.CoreML/model.mlmodel")
_DTYPES: Final[dict[str, type[np.generic]]] = {
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "UINT16": np.uint16,
    "INT32": np.int32,
    "BOOL": np.bool_,
}


class Reference(str):
    """The name of a value an earlier operation wrote, or of the program's input."""

    __slots__ = ()


@dataclass(frozen=True)
class Operation:
    """One step: which operation, its arguments by name, what it writes and in which type."""

    kind: str
    arguments: dict[str, tuple[Reference | Value, ...]]
    """Parameter -> values by name, or constants given in place; only lists hold more than one."""
    constants: dict[str, Value]
    """Parameters stored with the operation itself."""
    outputs: tuple[str, ...]
    dtypes: tuple[str, ...]
    """Type of each output as the program declares it, for example FLOAT16."""


@dataclass(frozen=True)
class Program:
    """The `main` function of a package."""

    path: Path
    inputs: dict[str, tuple[int, ...]]
    """Name -> shape, in order."""
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]


def read_program(package: Path) -> Program:
    """Read a package; missing or damaged files are UserErrors, a missing coremltools is NotHere."""
    path = package / _MODEL
    schema = _schema()
    try:
        model = schema.Model.FromString(path.read_bytes())
    except OSError:
        raise UserError(f"{path}: file not found; export the target anew") from None
    except Exception as error:  # protobuf's DecodeError is a different class per implementation
        raise UserError(f"{path}: not a Core ML model ({error}); export the target anew") from None
    if model.WhichOneof("Type") != "mlProgram":
        raise UserError(f"{path}: holds no ML program; export the target anew")
    function = model.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    reader = _Reader(path.parent / "weights" / "weight.bin", schema)
    return Program(
        path=package,
        inputs={
            each.name: tuple(each.type.multiArrayType.shape) for each in model.description.input
        },
        outputs=tuple(each.name for each in model.description.output),
        operations=tuple(reader.operation(item) for item in block.operations),
    )


class _Reader:
    """Turns the messages of one program into operations; large constants lie in weight.bin."""

    def __init__(self, weights: Path, schema: ModuleType) -> None:
        self._weights = weights
        self._blob: Array = (
            np.fromfile(weights, dtype=np.uint8) if weights.exists() else np.empty(0, np.uint8)
        )
        self._data_type = importlib.import_module(f"{schema.__package__}.MIL_pb2").DataType

    def operation(self, item: Any) -> Operation:
        arguments = {
            name: tuple(
                Reference(entry.name)
                if entry.WhichOneof("binding") == "name"
                else self._value(entry.value)
                for entry in argument.arguments
            )
            for name, argument in item.inputs.items()
        }
        constants = {
            name: self._value(value) for name, value in item.attributes.items() if name != "name"
        }
        return Operation(
            kind=item.type,
            arguments=arguments,
            constants=constants,
            outputs=tuple(output.name for output in item.outputs),
            dtypes=tuple(
                self._data_type.Name(output.type.tensorType.dataType) for output in item.outputs
            ),
        )

    def _value(self, value: Any) -> Value:
        tensor_type = value.type.tensorType
        kind = self._data_type.Name(tensor_type.dataType)
        shape = tuple(dimension.constant.size for dimension in tensor_type.dimensions)
        if value.WhichOneof("value") == "blobFileValue":
            return self._stored(value.blobFileValue.offset, kind, shape)
        tensor = value.immediateValue.tensor
        field = tensor.WhichOneof("value")
        values = getattr(tensor, field).values
        if field == "strings":
            return str(values[0])
        if field == "bools" and not shape:
            return bool(values[0])
        dtype = self._dtype(kind)
        flat = np.frombuffer(values, dtype) if field == "bytes" else np.array(values, dtype)
        return flat.reshape(shape)

    def _stored(self, offset: int, kind: str, shape: tuple[int, ...]) -> Array:
        """Read a blob: a 64-byte header (mark, type, bytes, place) and the data it points to."""
        dtype = np.dtype(self._dtype(kind))
        header = self._blob[offset : offset + 64]
        if len(header) == 64:
            mark = int(header[:4].view("<u4")[0])
            size, start = (int(number) for number in header[8:24].view("<u8"))
            data = self._blob[start : start + size]
            expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            if mark == 0xDEADBEEF and len(data) == size == expected:
                return data.view(dtype).reshape(shape)
        raise UserError(f"{self._weights}: damaged or cut short; export the target anew")

    def _dtype(self, kind: str) -> type[np.generic]:
        if kind not in _DTYPES:
            raise NotHere(f"the reference interpreter reads no {kind}; run this target on a Mac")
        return _DTYPES[kind]


def _schema() -> ModuleType:
    """Load the schema classes as a package of our own whose path is coremltools' folder."""
    name = f"{__package__}.schema"
    if name not in sys.modules:
        found = importlib.util.find_spec("coremltools")
        if found is None or not found.submodule_search_locations:
            raise NotHere("coremltools is not installed; pip install coremltools")
        package = ModuleType(name)
        package.__path__ = [str(Path(found.submodule_search_locations[0]) / "proto")]
        sys.modules[name] = package
    return importlib.import_module(f"{name}.Model_pb2")
