from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.encoders.rotation import RotNet
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from tests.parts import PARTS

METHOD = {
    "method": "rotation",
    "width": 8,
    "epochs": 3,
    "batch": 64,
    "learning_rate": 0.05,
    "weight_decay": 0.0005,
    **PARTS,
    "augment": "none",
    "precision": "fp32",
}
SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))


def _encode(manifest: Path, spec: InputSpec = SPEC, **changes: object) -> np.ndarray:
    images = ImageSet.open(manifest, "train")
    method = resolve("encoders", {**METHOD, **changes}, "params.yaml", "embed")
    encoder = method(Request(images, spec, 0))
    return np.concatenate(list(encoder.embed(images)))


def test_embeddings_tell_digits_apart_when_trained_without_labels(manifest: Path) -> None:
    matrix = _encode(manifest)
    labels = ImageSet.open(manifest, "train").labels
    assert matrix.shape == (len(labels), 64)
    half = len(labels) // 2
    probe = LogisticRegression(max_iter=300).fit(matrix[:half], labels[:half])
    assert probe.score(matrix[half:], labels[half:]) > 0.8


def test_embeddings_point_every_way_when_features_are_all_positive(manifest: Path) -> None:
    matrix = _encode(manifest, epochs=1)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-5)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    assert abs(float((unit @ unit.T).mean())) < 0.1


def test_embeddings_repeat_when_the_seed_is_the_same(manifest: Path) -> None:
    np.testing.assert_array_equal(_encode(manifest, epochs=1), _encode(manifest, epochs=1))


@pytest.mark.parametrize("side", ["height", "width"])
def test_embeddings_are_those_of_a_square_when_the_input_is_longer(
    manifest: Path, side: str
) -> None:
    longer = SPEC.model_copy(update={side: 12, "fit": "letterbox"})
    np.testing.assert_array_equal(_encode(manifest, longer, epochs=1), _encode(manifest, epochs=1))


def test_network_has_the_papers_four_answers_when_built() -> None:
    import torch

    assert RotNet(8, 3)(torch.zeros(2, 3, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(("side", "seen"), [(64, 64), (65, 32), (150, 50)])
def test_large_images_are_looked_at_small_when_they_would_cost_too_much(
    manifest: Path, side: int, seen: int
) -> None:
    images = ImageSet.open(manifest, "train").take(range(12))
    spec = SPEC.model_copy(update={"height": side, "width": side})
    encoder = resolve("encoders", {**METHOD, "epochs": 1}, "params.yaml", "embed")(
        Request(images, spec, 0)
    )
    assert (encoder.spec.height, encoder.spec.width) == (seen, seen)
    assert next(encoder.embed(images)).shape == (12, 64)
