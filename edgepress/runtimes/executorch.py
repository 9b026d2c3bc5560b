"""ExecuTorch on this machine's CPU, with its XNNPACK backend.

The number of threads is a setting of the process, not of one model: the last load decides. The
extension module is imported directly; the package's public door imports the whole compiler first,
which takes 11 s and 300 MB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.exported import Exported
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.border import answer, check_shapes, expect
from edgepress.runtimes.quiet import quiet
from edgepress.runtimes.session import Session, entry

EXPORTER = "executorch"
"""The exporter whose files this runtime loads."""


class Params(Config):
    """Parameters of `executorch`."""

    method: Literal["executorch"]
    """Name of the method."""
    threads: int = Field(gt=0)
    """Threads one run may use."""


def load(folder: Path, exported: Exported, *, params: Params) -> Session:
    """Load the file in `folder`; one that is missing, changed or no .pte file is a UserError."""
    return ExecutorchSession(entry(folder, exported), exported, params.threads)


def opened(path: Path, threads: int) -> tuple[Any, Any]:
    """Return a file's program and its method `forward`; a RuntimeError where it is refused."""
    import torch  # noqa: F401  (the extension links against it)
    from executorch.extension.pybindings import _C

    with quiet("executorch"):
        if _C._threadpool_get_thread_count() != threads:
            _C._unsafe_reset_threadpool(threads)
        program = _C._load_program(
            str(path),
            enable_etdump=False,
            debug_buffer_size=0,
            program_verification=_C.Verification.InternalConsistency,
            data_path=None,
        )
        return program, program.load_method("forward")


class ExecutorchSession:
    """The method `forward` of a .pte file."""

    def __init__(self, path: Path, exported: Exported, threads: int) -> None:
        """Load `path` and plan its memory."""
        import torch

        self._tensor = torch.from_numpy
        self._exported = exported
        try:
            # The method needs the program, and the program the file: both are kept.
            self._program, self._method = opened(path, threads)
        except RuntimeError as error:
            raise UserError(
                f"{path}: ExecuTorch refuses it ({error}); export {exported.target} again"
            ) from None
        meta = self._method.method_meta()
        shapes = {str(i): meta.input_tensor_meta(i).sizes() for i in range(meta.num_inputs())}
        check_shapes(shapes, exported, path)

    def run(self, inputs: Tensors) -> Arrays:
        """Return the outputs of one item, by name."""
        # The runtime reads memory in order, whatever the strides say.
        held = [np.ascontiguousarray(each) for each in expect(inputs, self._exported)]
        found = self._method.call(tuple(map(self._tensor, held)))
        # The tensors are the method's own memory and change with the next run.
        pairs = zip(self._exported.part.outputs, found, strict=True)
        return {port.tensor.name: answer(port, each.numpy().copy()) for port, each in pairs}

    def close(self) -> None:
        """Free the method and its program."""
        self._method = self._program = None
