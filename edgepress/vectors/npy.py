"""NumPy files: the header of a .npy file, and members of .npz files decoded in runs of rows."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.vectors.cursor import DAMAGE, reason

_NO_HEADER = (SyntaxError, tokenize.TokenError, TypeError, OverflowError)
"""What NumPy raises beside ValueError on a header that is none."""


def header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read a .npy header and leave `file` at the first byte of the data.

    A header that is none is a ValueError; one we do not read, a UserError naming `path`.
    """
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise UserError(f"{path}: .npy version {version} is unknown; write it with numpy.save")
    try:
        shape, fortran, dtype = read(file)
    except _NO_HEADER:
        raise ValueError("the .npy header is not one") from None
    if fortran and len(shape) > 1 and min(shape) > 1:
        raise UserError(f"{path}: columns come first; save numpy.ascontiguousarray of it")
    return shape, dtype


def array(path: Path) -> npt.NDArray[Any]:
    """Map the one array of a .npy file, of any shape and type but objects, read-only.

    What is missing, no .npy, cut off or of objects, which only pickle could read, is a UserError.
    """
    if not path.is_file():
        raise UserError(f"{path}: {'not a file' if path.exists() else 'file not found'}; name one")
    try:
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                raise UserError(f"{path}: not an .npy but an .npz; save its array by numpy.save")
        return np.lib.format.open_memmap(path, mode="r")
    except (*DAMAGE, *_NO_HEADER) as error:
        raise UserError(
            f"{path}: not an .npy ({reason(error)}); save the array by numpy.save"
        ) from None


def members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays of an .npz file by the names they were saved under."""
    return {Path(info.filename).stem: info for info in archive.infolist()}


def stored_at(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where a stored zip member's bytes begin: its local header gives two lengths."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + int(name) + int(extra)


def runs(path: Path, member: str, rows: int) -> Iterator[npt.NDArray[Any]]:
    """Yield an .npz member from its first row on, `rows` at a time; one cut short is an EOFError.

    zipfile compares the checksum with the last run.
    """
    with zipfile.ZipFile(path) as archive, archive.open(members(archive)[member]) as file:
        shape, dtype = header(file, path)
        if not shape:
            raise ValueError(f"{member} is a single value, not an array")
        size = math.prod(shape[1:]) * dtype.itemsize
        for start in range(0, shape[0], rows):
            count = min(rows, shape[0] - start)
            data = file.read(count * size)
            if len(data) < count * size:
                raise EOFError(f"{member} ends after row {start + len(data) // size}")
            yield np.frombuffer(data, dtype).reshape(count, *shape[1:])
