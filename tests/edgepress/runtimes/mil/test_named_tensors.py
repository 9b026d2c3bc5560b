"""Programs with several inputs and outputs of any rank, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgepress.runtimes.coreml import library
from edgepress.runtimes.mil.interpreter import Interpreter
from edgepress.runtimes.mil.program import read_program
from edgepress.runtimes.quiet import quiet

INPUTS = {"signal": (1, 2, 8), "image": (1, 3, 4, 4), "token": (1, 5)}


class Pair(nn.Module):
    """A signal, an image and a row of numbers to a number each, a map and classes."""

    def forward(self, signal: Tensor, image: Tensor, token: Tensor) -> tuple[Tensor, ...]:
        """Map ranks 3, 4 and 2 to ranks 2, 4 and 1, the last of integers."""
        summed = signal.mean(2) + image.sum((2, 3))[:, :2]
        return summed, image * token[:, :1, None, None], token.argmax(1).to(torch.int32)


def test_answers_equal_pytorch_by_name_when_inputs_and_outputs_are_several(tmp_path: Path) -> None:
    coremltools = library()
    torch.manual_seed(0)
    samples = {name: torch.randn(shape) for name, shape in INPUTS.items()}
    names = ("summed", "scaled", "largest")
    kinds = (np.float32, np.float32, np.int32)
    with quiet("coremltools"):
        package = coremltools.convert(
            torch.jit.trace(Pair(), tuple(samples.values())),
            inputs=[coremltools.TensorType(name, shape=shape) for name, shape in INPUTS.items()],
            outputs=[
                coremltools.TensorType(name, dtype=kind)
                for name, kind in zip(names, kinds, strict=True)
            ],
            minimum_deployment_target=coremltools.target.iOS17,
            compute_precision=coremltools.precision.FLOAT32,
            skip_model_load=True,
        )
        package.save(str(tmp_path / "pair.mlpackage"))
    program = read_program(tmp_path / "pair.mlpackage")
    assert program.inputs == INPUTS
    turned = {name: samples[name].numpy() for name in reversed(samples)}
    found = Interpreter(program).run(turned)
    assert tuple(found) == names
    for name, expected in zip(names, Pair()(*samples.values()), strict=True):
        np.testing.assert_allclose(found[name], expected.numpy(), rtol=1e-5, atol=1e-6)
        assert found[name].dtype == expected.numpy().dtype
