from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.export.openvino import Params
from edgepress.export.openvino import export as write

OPTIONS = {"method": "openvino"}
FP32, INT8 = "x86_64-openvino-fp32", "x86_64-openvino-int8"


def test_float_file_answers_as_torch_when_run(trained: Any, export: Any, answer: Any) -> None:
    folder, exported = export(FP32, OPTIONS)
    answers = answer(folder, exported)
    assert trained.cosine(answers) >= 0.9999
    assert np.abs(answers - trained.logits).max() < 1e-3


def test_int8_file_is_near_torch_and_its_weights_smaller_when_run(
    trained: Any, export: Any, answer: Any
) -> None:
    folder, exported = export(INT8, OPTIONS)
    answers = answer(folder, exported)
    assert trained.cosine(answers) >= 0.98
    weights = {
        name: (export(name, OPTIONS)[0] / "model.bin").stat().st_size for name in (FP32, INT8)
    }
    assert weights[INT8] < 0.35 * weights[FP32]


def test_float_weights_stay_float32_when_saved(export: Any, trained: Any) -> None:
    folder, _ = export(FP32, OPTIONS)
    count = sum(parameter.numel() for parameter in trained.network.parameters())
    assert (folder / "model.bin").stat().st_size > 0.9 * 4 * count


def test_bytes_are_the_same_when_quantized_twice(
    make_job: Any, export: Any, tmp_path: Path
) -> None:
    again = write(make_job(tmp_path / "again", INT8), params=Params(method="openvino"))
    assert again.files == export(INT8, OPTIONS)[1].files


def test_nothing_is_sent_home_or_written_there_when_openvino_is_imported(tmp_path: Path) -> None:
    """OpenVINO and NNCF fall back to stubs where openvino_telemetry cannot be imported."""
    code = (
        "import sys; from edgepress.runtimes.openvino import library; library(); "
        "import openvino.tools.ovc.telemetry_utils as used; "
        "sys.exit('stub' not in used.tm.__name__)"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert not list(tmp_path.iterdir())


def test_float_layers_stay_float_when_all_else_is_int8(parted: Any) -> None:
    exported, off = parted(INT8, OPTIONS)
    assert max(off.values()) < 0.1
    assert "float by the recipe: boxes, left, right" in exported.notes
