"""Exporters take calibration images a few at a time and let go of them."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgepress.export.calibration_images import CalibrationImages
from edgepress.methods import resolve
from edgepress.records.quantized import Recipe

EXPORTERS = {
    "x86_64-onnxruntime": {"method": "onnx", "opset": 18},
    "x86_64-openvino": {"method": "openvino"},
    "x86_64-litert": {"method": "tflite"},
    "x86_64-executorch": {"method": "executorch"},
    "apple-coreml": {"method": "coreml", "minimum_deployment_target": "iOS17"},
}


class Watched(CalibrationImages):
    """Counts the images that were given and are still held by somebody."""

    held: int
    most: int
    given: int

    def batches(self, size: int) -> Iterator[npt.NDArray[np.float32]]:
        for batch in super().batches(size):
            self._hold(batch)
            yield batch
            del batch

    def _hold(self, batch: npt.NDArray[np.float32]) -> None:
        object.__setattr__(self, "held", self.held + len(batch))
        object.__setattr__(self, "given", self.given + len(batch))
        object.__setattr__(self, "most", max(self.most, self.held))
        weakref.finalize(batch, self._let_go, len(batch))

    def _let_go(self, count: int) -> None:
        object.__setattr__(self, "held", self.held - count)


def watched(trained: Any, spec: Any, copies: int) -> Watched:
    images = Watched(np.concatenate([trained.calibration] * copies), spec)
    for name in ("held", "most", "given"):
        object.__setattr__(images, name, 0)
    return images


@pytest.mark.parametrize(
    "mixed",
    [pytest.param(False, id="int8"), pytest.param(True, id="tensors", marks=pytest.mark.soak)],
)
@pytest.mark.parametrize("place", EXPORTERS)
def test_images_held_at_a_time_do_not_grow_when_there_are_more_of_them(
    trained: Any, make_job: Any, tmp_path: Path, place: str, mixed: bool
) -> None:
    spec = make_job(tmp_path / "spec", f"{place}-fp32").bundle.input
    images = watched(trained, spec, 4)
    recipe = Recipe(weights="int8", activations="int8", per_channel=True)
    if mixed:
        recipe = Recipe(
            weights="int8",
            activations="int8",
            per_channel=True,
            tensors={"image": {"scale": [0.02]}},  # type: ignore[dict-item]
        )
    job = make_job(tmp_path / "out", f"{place}-int8", recipe=recipe, calibration=images)
    resolve("export", EXPORTERS[place], "test", "export")(job)
    assert images.given >= len(images) == 256
    assert images.most <= 33
