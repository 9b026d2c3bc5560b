from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.export.calibration_images import CalibrationImages
from edgepress.quantization.calibration_set import choose, collect
from edgepress.records.calibration import IMAGES
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


def test_written_images_are_those_of_the_manifest_when_read(
    images: ImageSet, tmp_path: Path
) -> None:
    record = collect(images, SPEC, 30).write(tmp_path)
    rows = [images.ids.index(name) for name in record.ids]
    held = CalibrationImages.open(tmp_path)
    np.testing.assert_array_equal(held.pixels, images.pixels(SPEC)[rows])
    everything = np.concatenate(list(images.batches(SPEC, 64)))
    np.testing.assert_array_equal(np.concatenate(list(held.batches(7))), everything[rows])
    assert record.sha256 == tuple(images.sha256[row] for row in rows)
    assert set(Counter(images.strata[rows].tolist()).values()) == {3}


def test_collect_refuses_when_more_are_asked_for_than_kept(images: ImageSet) -> None:
    with pytest.raises(UserError, match=f"5000 asked for, only {len(images)} training images"):
        collect(images, SPEC, 5000)


def test_folder_is_refused_when_a_pixel_changed_since(images: ImageSet, tmp_path: Path) -> None:
    collect(images, SPEC, 10).write(tmp_path)
    pixels = np.load(tmp_path / IMAGES)
    pixels[3, 5, 5] ^= 1
    np.save(tmp_path / IMAGES, pixels)
    with pytest.raises(UserError, match="is not the file calibration.json names"):
        CalibrationImages.open(tmp_path)


def test_folder_has_the_same_bytes_when_written_twice(images: ImageSet, tmp_path: Path) -> None:
    for name in ("a", "b"):
        collect(images, SPEC, 10).write(tmp_path / name)
    collect(images, SPEC, 11).write(tmp_path / "c")
    digests = [sha256_folder(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
