from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edgepress.records.quantized import TensorScale


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": (0.0,)}, "scales must be above 0"),
        ({"scale": (0.1, 0.2)}, "2 scales need the axis they lie along"),
        ({"zero_point": (0,)}, "none without a scale"),
        ({"scale": (0.1, 0.2), "zero_point": (0,), "axis": 0}, "as many zero points as scales"),
        ({"bits": 16, "scale": (0.1,)}, "16 bits are a float's: no scale"),
        ({"scale": (0.1,), "zero_point": (128,)}, "zero points of 8 bits lie from -128 to 127"),
        ({"bits": 4, "scale": (0.1,), "zero_point": (-9,)}, "of 4 bits lie from -8 to 7"),
    ],
)
def test_scale_is_refused_when_it_has_no_meaning(fields: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TensorScale(**fields)
