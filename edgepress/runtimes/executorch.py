"""ExecuTorch on this machine's CPU, with its XNNPACK backend.

The number of threads is a setting of the process, not of one model: the last load decides. The
extension module is imported directly; the package's public door imports the whole compiler first,
which takes 11 s and 300 MB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.runtimes.border import check_shape, expect
from edgepress.runtimes.quiet import quiet
from edgepress.runtimes.session import Session, entry


class Params(Config):
    """Parameters of `executorch`."""

    method: Literal["executorch"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads one run may use."""


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the file in `folder`; one that is missing, changed or no .pte file is a UserError."""
    return ExecutorchSession(entry(folder, exported), exported, params.threads)


class ExecutorchSession:
    """The method `forward` of a .pte file."""

    def __init__(self, path: Path, exported: Exported, threads: int) -> None:
        """Load `path` and plan its memory."""
        import torch
        from executorch.extension.pybindings import _C

        self._tensor = torch.from_numpy
        self._exported = exported
        with quiet("executorch"):
            if _C._threadpool_get_thread_count() != threads:
                _C._unsafe_reset_threadpool(threads)
            try:
                # The method needs the program, and the program the file: both are kept.
                self._program: Any = _C._load_program(
                    str(path),
                    enable_etdump=False,
                    debug_buffer_size=0,
                    program_verification=_C.Verification.InternalConsistency,
                    data_path=None,
                )
                self._method: Any = self._program.load_method("forward")
            except RuntimeError as error:
                raise UserError(
                    f"{path}: not an ExecuTorch program ({error}); export {exported.target} again"
                ) from None
        check_shape(self._method.method_meta().input_tensor_meta(0).sizes(), exported, path)

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits, float32 [1, classes], of float32 [1, C, H, W]."""
        # The runtime reads memory in order, whatever the strides say.
        image = np.ascontiguousarray(expect(batch, self._exported))
        outputs = self._method.call((self._tensor(image),))
        # The tensor is the method's own memory and changes with the next run.
        logits: npt.NDArray[np.float32] = outputs[0].numpy().copy()
        return logits

    def close(self) -> None:
        """Free the method and its program."""
        self._method = self._program = None
