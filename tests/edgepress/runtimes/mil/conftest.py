"""Convert a small PyTorch module with coremltools and run it in the reference interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgepress.runtimes.coreml import library
from edgepress.runtimes.mil.interpreter import Interpreter
from edgepress.runtimes.mil.program import Program, read_program
from edgepress.runtimes.quiet import quiet

Convert = Callable[..., Program]


@pytest.fixture(scope="session")
def convert() -> Convert:
    """Return a function (module, sample, folder, half) -> Program; half asks for float16."""
    coremltools = library()

    def run(module: nn.Module, sample: Tensor, folder: Path, half: bool = False) -> Program:
        precision = coremltools.precision
        with quiet("coremltools"):
            model = coremltools.convert(
                torch.jit.trace(module.eval(), sample),
                inputs=[coremltools.TensorType("x", shape=sample.shape, dtype=np.float32)],
                outputs=[coremltools.TensorType("y", dtype=np.float32)],
                minimum_deployment_target=coremltools.target.iOS17,
                compute_precision=precision.FLOAT16 if half else precision.FLOAT32,
                skip_model_load=True,
            )
            model.save(str(folder / "test.mlpackage"))
        return read_program(folder / "test.mlpackage")

    return run


@pytest.fixture
def check(convert: Convert, tmp_path: Path) -> Callable[..., None]:
    """Compare the interpreter with PyTorch for one module whose program must hold `kinds`."""

    def run(module: nn.Module, sample: Tensor, *kinds: str, half: bool = False) -> None:
        program = convert(module, sample, tmp_path, half)
        found = {step.kind for step in program.operations}
        assert set(kinds) <= found, f"the program holds {sorted(found)}"
        with torch.no_grad():
            expected = module(sample).numpy()
        answer = Interpreter(program).run({"x": sample.numpy()})["y"]
        assert answer.shape == expected.shape
        tolerance = 4e-3 if half else 2e-5
        np.testing.assert_allclose(answer, expected, rtol=tolerance, atol=tolerance)

    return run
