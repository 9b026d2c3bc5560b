from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.tflite import Params
from edgepress.export.tflite import export as write

OPTIONS = {"method": "tflite"}
FP32, INT8 = "x86_64-litert-fp32", "x86_64-litert-int8"


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
    mixed: Any, make_job: Any, answer: Any, tmp_path: Path, capfd: Any
) -> None:
    first, second = (
        write(make_job(tmp_path / name, INT8, model=mixed.network), params=Params(**OPTIONS))
        for name in ("first", "second")
    )
    assert capfd.readouterr() == ("", "")
    assert first.files == second.files
    assert mixed.cosine(answer(tmp_path / "first", first)) >= 0.98


def test_largest_values_survive_when_an_early_image_holds_them(
    trained: Any, make_job: Any, answer: Any, tmp_path: Path
) -> None:
    """Ranges must cover all calibration images, not an average of the last ones."""
    pixels = np.round((trained.images * 0.35 + 0.3) * 255).astype(np.uint8)
    pixels = pixels.transpose(0, 2, 3, 1)
    dark = np.zeros((60, 16, 16, 1), np.uint8)
    spec = make_job(tmp_path / "out", INT8).bundle.input
    images = CalibrationImages(np.concatenate([pixels, dark]), spec)
    job = make_job(tmp_path / "out", INT8, calibration=images)
    answers = answer(job.out, write(job, params=Params(**OPTIONS)))
    assert np.abs(answers - trained.logits).max() < 0.1 * np.abs(trained.logits).max()


def test_record_describes_the_file_when_int8(export: Any) -> None:
    _, exported = export(INT8, OPTIONS)
    assert exported.part.inputs[0].layout == "NHWC"
    assert exported.part.inputs[0].stored_shape == (1, 16, 16, 1)
    assert (exported.format, exported.part.entry) == ("tflite", "model.tflite")
    assert exported.calibration_sha256 == "c" * 64
    assert {"torch", "litert-torch", "ai-edge-quantizer"} <= set(exported.tools)
    assert not [note for note in exported.notes if note.startswith("left in float")]


def test_float_layers_stay_float_when_all_else_is_int8(parted: Any) -> None:
    exported, off = parted(INT8, OPTIONS)
    assert max(off.values()) < 0.1
    assert "float by the recipe: boxes, left, right" in exported.notes
