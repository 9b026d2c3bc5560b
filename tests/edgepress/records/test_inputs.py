from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgepress.records.inputs import InputSpec

SPEC: dict[str, Any] = {"height": 8, "width": 8, "channels": 1, "mean": [0.3], "std": [0.35]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": [76.5]}, r"mean 76.5 is not on the 0..1 scale; divide those of 0..255 by 255"),
        ({"mean": [-0.1]}, r"mean -0.1 is not on the 0..1 scale"),
        ({"std": [89.25]}, r"std 89.25 is not on the 0..1 scale"),
        ({"std": [0.0]}, "std must be above 0, got 0"),
        ({"mean": [float("nan")]}, "mean nan is not on the 0..1 scale"),
        ({"mean": [0.5, 0.5]}, "mean and std need 1 value"),
        ({"fit": "crop"}, "expected stretch, letterbox or {crop: SHARE}, a share above 0"),
        ({"fit": {"crop": 1.1}}, "expected stretch, letterbox or {crop: SHARE}, a share above 0"),
        ({"fit": {"crop": 0.5, "side": 2}}, "expected stretch, letterbox or {crop: SHARE}"),
    ],
)
def test_numbers_off_the_scale_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        InputSpec.model_validate({**SPEC, **change})


@given(st.floats(0, 1), st.floats(0, 1, exclude_min=True))
def test_numbers_on_the_scale_are_taken(mean: float, std: float) -> None:
    spec = InputSpec.model_validate({**SPEC, "mean": [mean], "std": [std]})
    assert (spec.mean, spec.std) == ((mean,), (std,))
