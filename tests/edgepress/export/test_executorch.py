from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgepress.export.executorch import Params
from edgepress.export.executorch import export as write

OPTIONS = {"method": "executorch"}
FP32, INT8 = "x86_64-executorch-fp32", "x86_64-executorch-int8"


class Rolled(nn.Module):
    """A network with an operation XNNPACK has no kernel for."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(196, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, 1, 16, 16] to logits [N, 10], cumulative over classes."""
        return torch.cumsum(self.head(self.network(x)), 1)


def test_float_file_answers_as_torch_when_run(trained: Any, export: Any, answer: Any) -> None:
    answers = answer(*export(FP32, OPTIONS))
    assert trained.cosine(answers) >= 0.9999
    assert np.abs(answers - trained.logits).max() < 1e-3


def test_int8_file_is_near_torch_and_half_as_large_when_run(
    trained: Any, export: Any, answer: Any
) -> None:
    folder, exported = export(INT8, OPTIONS)
    answers = answer(folder, exported)
    assert trained.cosine(answers) >= 0.98
    assert (answers.argmax(1) == trained.logits.argmax(1)).mean() >= 0.97
    assert exported.size_bytes < 0.5 * export(FP32, OPTIONS)[1].size_bytes


def test_int8_file_is_near_torch_and_its_bytes_repeat_when_convolutions_are_depthwise(
    mixed: Any, make_job: Any, answer: Any, tmp_path: Path
) -> None:
    first, second = (
        write(make_job(tmp_path / name, INT8, model=mixed.network), params=Params(**OPTIONS))
        for name in ("first", "second")
    )
    assert first.files == second.files
    assert mixed.cosine(answer(tmp_path / "first", first)) >= 0.98


def test_record_describes_the_file_when_int8(export: Any) -> None:
    _, exported = export(INT8, OPTIONS)
    assert [port.stored for port in (*exported.part.inputs, *exported.part.outputs)] == ["0", "0"]
    assert (exported.format, exported.part.entry) == ("executorch", "model.pte")
    assert exported.calibration_sha256 == "c" * 64
    assert {"torch", "executorch", "torchao"} <= set(exported.tools)
    assert exported.notes == ("all operations run in XNNPACK",)


def test_notes_name_the_operation_when_xnnpack_leaves_it(
    make_job: Any, tmp_path: Path, capfd: Any
) -> None:
    job = make_job(tmp_path / "out", FP32, model=Rolled().eval())
    notes = write(job, params=Params(**OPTIONS)).notes
    assert notes == ("1 outside XNNPACK: 1 x aten::cumsum",)
    assert capfd.readouterr() == ("", "")


def test_float_layers_stay_float_when_all_else_is_int8(parted: Any) -> None:
    exported, off = parted(INT8, OPTIONS)
    assert max(off.values()) < 0.1
    assert "float by the recipe: boxes, left, right" in exported.notes
