"""No embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))


def test_no_image_is_opened_when_nothing_is_embedded(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = ImageSet.open(manifest, "train")
    monkeypatch.setattr(ImageSet, "decoded", None)
    encoder = resolve("encoders", {"method": "none"}, "test", "embed")(Request(images, SPEC, 0))
    np.testing.assert_array_equal(np.concatenate(list(encoder.embed(images))), 1.0)
    assert sum(map(len, encoder.embed(images))) == len(images)
