from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.preprocess import decode, normalise
from edgepress.data.sources import digits, folder
from edgepress.data.splits import Fractions
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import Manifest
from tests.classified import classified

SPEC = InputSpec(height=8, width=10, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
RULES = Rules(split=Fractions(val=0.2, test=0.3), limit=None)


@pytest.fixture
def manifest(class_folders: Path, tmp_path: Path) -> Path:
    source = folder.Params(method="folder", path=str(class_folders))
    out = tmp_path / "manifest"
    classified(folder.ingest(out, params=source), out, RULES)
    return out


@pytest.fixture(scope="module")
def digits_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits") / "manifest"
    classified(digits.ingest(out, params=digits.Params(method="digits")), out, RULES)
    return out


def test_splits_part_the_images(manifest: Path) -> None:
    parts = [ImageSet.open(manifest, split) for split in ("train", "val", "test")]
    everything = ImageSet.open(manifest)
    assert len(everything) == 60
    assert sorted(sum((part.ids for part in parts), [])) == sorted(everything.ids)
    assert everything.classes == ("cat", "dog")
    counts = Manifest.read(manifest).counts
    for part, per_class in zip(parts, counts.values(), strict=True):
        assert np.bincount(part.strata, minlength=2).tolist() == list(per_class.values())


def test_labels_ids_and_hashes_belong_to_the_bytes(manifest: Path, class_folders: Path) -> None:
    images = ImageSet.open(manifest, "train")
    assert images.strata.tolist() == images.labels
    for index, name in enumerate(images.ids):
        data = (class_folders / name).read_bytes()
        assert images.encoded(index) == data
        assert images.sha256[index] == hashlib.sha256(data).hexdigest()
        assert images.classes[images.labels[index]] == name.split("/")[0]


def test_pixels_are_the_decoded_images_in_order(manifest: Path) -> None:
    images = ImageSet.open(manifest)
    pixels = images.pixels(SPEC)
    assert pixels.shape == (60, 8, 10, 3)
    assert pixels.dtype == np.uint8
    for index in range(len(images)):
        assert np.array_equal(pixels[index], decode(images.encoded(index), SPEC))


@pytest.mark.parametrize("size", [1, 7, 60, 100])
def test_batches_are_the_normalised_pixels(manifest: Path, size: int) -> None:
    images = ImageSet.open(manifest)
    batches = list(images.batches(SPEC, size))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size
    assert np.array_equal(np.concatenate(batches), normalise(images.pixels(SPEC), SPEC))


def test_batches_do_not_overwrite_one_another(manifest: Path) -> None:
    batches = ImageSet.open(manifest).batches(SPEC, 10)
    first = next(batches)
    kept = first.copy()
    next(batches)
    assert np.array_equal(first, kept)


def test_ids_choose_images_in_manifest_order(manifest: Path) -> None:
    every = ImageSet.open(manifest).ids
    chosen = ImageSet.open(manifest, ids=[every[9], every[2], every[30]])
    assert chosen.ids == [every[2], every[9], every[30]]


def test_unknown_split_and_id_are_named(manifest: Path) -> None:
    with pytest.raises(UserError, match="'dev' is not one of train, val, test"):
        ImageSet.open(manifest, "dev")
    test_id = ImageSet.open(manifest, "test").ids[0]
    with pytest.raises(UserError, match=f"id '{test_id}' is no usable image in the train split"):
        ImageSet.open(manifest, "train", ids=[test_id])
    with pytest.raises(UserError, match="there is no usable image"):
        ImageSet.open(manifest, ids=[])


def test_image_changed_since_ingest_is_refused(manifest: Path, class_folders: Path) -> None:
    images = ImageSet.open(manifest)
    shutil.copy(class_folders / images.ids[1], class_folders / images.ids[0])
    with pytest.raises(UserError, match=f"image {images.ids[0]}: changed since ingest"):
        images.encoded(0)
    with pytest.raises(UserError, match=f"image {images.ids[0]}: changed since ingest"):
        images.pixels(SPEC)


def test_image_removed_since_ingest_is_refused(manifest: Path, class_folders: Path) -> None:
    images = ImageSet.open(manifest)
    (class_folders / images.ids[3]).unlink()
    with pytest.raises(UserError, match=f"image {images.ids[3]}: changed since ingest: cannot"):
        list(images.batches(SPEC, 4))
    with pytest.raises(UserError, match=f"image {images.ids[3]}: changed since ingest: cannot"):
        images.encoded(3)


def test_manifest_with_its_own_images_can_be_moved(digits_manifest: Path, tmp_path: Path) -> None:
    before = ImageSet.open(digits_manifest, "val").pixels(SPEC)
    moved = tmp_path / "elsewhere"
    shutil.copytree(digits_manifest, moved)
    assert np.array_equal(ImageSet.open(moved, "val").pixels(SPEC), before)


def test_digits_are_scikit_learns(digits_manifest: Path) -> None:
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    spec = InputSpec(height=8, width=8, channels=1, mean=(0.5,), std=(0.5,))
    images = ImageSet.open(digits_manifest)
    assert len(images) == 1797
    assert np.array_equal(images.labels, labels)
    assert np.allclose(images.pixels(spec).reshape(-1, 64), pictures * 255 / 16, atol=0.5)


def test_missing_manifest_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="file not found; run the"):
        ImageSet.open(tmp_path)


def test_damaged_table_is_a_user_error(manifest: Path) -> None:
    (manifest / "manifest.parquet").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"manifest.parquet: cannot be read"):
        ImageSet.open(manifest)
