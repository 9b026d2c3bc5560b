from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.quantization.calibration import choose, collect
from edgepress.records.calibration import Calibration
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_folder

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))

labelled = st.lists(st.integers(0, 4), min_size=1, max_size=60)


def names(count: int) -> list[str]:
    return [f"image-{index}" for index in range(count)]


@given(labelled, st.integers(0, 2**32), st.data())
def test_choice_is_the_same_when_the_rows_are_shuffled(labels, seed, data):
    count = data.draw(st.integers(1, len(labels)))
    rows = list(zip(names(len(labels)), labels, strict=True))
    shuffled = random.Random(seed).sample(rows, len(rows))
    chosen = {
        frozenset(order[index][0] for index in choose(*map(list, zip(*order, strict=True)), count))
        for order in (rows, shuffled)
    }
    assert len(chosen) == 1


@given(labelled, st.data())
def test_choice_serves_the_classes_in_turn_when_some_run_dry(labels, data):
    count = data.draw(st.integers(1, len(labels)))
    chosen = choose(names(len(labels)), labels, count)
    assert len(chosen) == len(set(chosen)) == count
    assert chosen == sorted(chosen)
    held, taken = Counter(labels), Counter(labels[index] for index in chosen)
    most = max(taken.values())
    assert all(taken[label] >= min(held[label], most - 1) for label in held)


@given(labelled, st.integers(0, 4), st.data())
def test_choice_keeps_all_but_one_when_an_image_is_added(labels, label, data):
    count = data.draw(st.integers(1, len(labels)))
    before = choose(names(len(labels)), labels, count)
    after = choose(names(len(labels) + 1), [*labels, label], count)
    assert len(set(before) - set(after)) <= 1


def test_collected_images_are_those_of_the_manifest_when_read(images: ImageSet) -> None:
    held = collect(images, SPEC, 30)
    everything = np.concatenate(list(images.batches(SPEC, 64)))
    rows = [images.ids.index(name) for name in held.ids]
    np.testing.assert_array_equal(held.images, everything[rows])
    assert held.sha256 == tuple(images.sha256[row] for row in rows)
    assert set(Counter(images.labels[rows].tolist()).values()) == {3}


def test_collect_refuses_when_more_are_asked_for_than_kept(images: ImageSet) -> None:
    with pytest.raises(UserError, match=f"5000 asked for, only {len(images)} training images"):
        collect(images, SPEC, 5000)


def test_digest_changes_when_one_pixel_of_one_image_changes(
    images: ImageSet, tmp_path: Path
) -> None:
    held = collect(images, SPEC, 10)
    pixels = held.images.copy()
    pixels[3, 0, 5, 5] += np.float32(1 / 255)
    other = dataclasses.replace(held, images=pixels)
    digests = []
    for name, kept in {"a": held, "b": held, "c": other}.items():
        record = kept.write(tmp_path / name)
        assert Calibration.read(tmp_path / name) == record
        digests.append(sha256_folder(tmp_path / name))
    assert digests[0] == digests[1] != digests[2]


def test_digest_changes_when_the_same_pixels_come_from_another_file(
    images: ImageSet, tmp_path: Path
) -> None:
    held = collect(images, SPEC, 10)
    other = dataclasses.replace(held, sha256=("0" * 64, *held.sha256[1:]))
    held.write(tmp_path / "a")
    other.write(tmp_path / "b")
    assert sha256_folder(tmp_path / "a") != sha256_folder(tmp_path / "b")
