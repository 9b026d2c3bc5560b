"""Border: what goes into a session has the shape the export was made for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.records.exported import Exported


def expect(batch: npt.NDArray[np.float32], exported: Exported) -> npt.NDArray[np.float32]:
    """Return the batch if it is float32 [1, C, H, W] of the export's input, else a UserError."""
    if batch.shape != exported.input.shape or batch.dtype != np.float32:
        raise UserError(
            f"{exported.target}: got {batch.dtype} {batch.shape}, the export takes float32 "
            f"{exported.input.shape}; preprocess the image by the export's input record"
        )
    return batch


def check_shape(found: Any, exported: Exported, where: object) -> None:
    """Compare the file's own input shape with exported.json; a difference is a UserError."""
    channels, height, width = exported.input.shape[1:]
    nhwc = (1, height, width, channels)
    expected = exported.input.shape if exported.layout == "NCHW" else nhwc
    shape = tuple(int(size) for size in found)
    if shape != expected:
        raise UserError(
            f"{where}: takes {shape}, exported.json says {expected}; export {exported.target} again"
        )
