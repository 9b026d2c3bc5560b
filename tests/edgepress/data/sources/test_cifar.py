from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.sources import cifar10, cifar100
from edgepress.data.sources._cifar import Archive, ingest_archive
from edgepress.data.splits import Fractions
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from tests.classified import classified

SPEC = InputSpec(height=32, width=32, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)


def pictures(split: str) -> np.ndarray:
    """uint8 [40, 32, 32, 3]."""
    seed = len(split)
    return np.random.default_rng(seed).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


def archive_like(real: Archive, folder: Path) -> Archive:
    """Write an archive of the published layout, 40 images a split; return its description."""
    path = folder / real.url.rpartition("/")[2]
    labels = np.arange(40, dtype=np.uint8) % 2
    with tarfile.open(path, "w:gz") as tar:

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(f"{real.folder}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        add(real.names, b"cat\ndog\n\n")
        for split, files in real.files.items():
            planes = pictures(split).transpose(0, 3, 1, 2).reshape(40, -1)
            coarse = np.full((40, real.label_bytes - 1), 9, np.uint8)
            records = np.concatenate([coarse, labels[:, None], planes], axis=1)
            for name, part in zip(files, np.array_split(records, len(files)), strict=True):
                add(name, part.tobytes())
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return dataclasses.replace(real, url=path.as_uri(), md5=md5)


@pytest.mark.parametrize("real", [cifar10.ARCHIVE, cifar100.ARCHIVE], ids=lambda a: a.name)
def test_published_layout_is_read_to_the_pixel(real: Archive, tmp_path: Path) -> None:
    archive = archive_like(real, tmp_path)
    out = tmp_path / "manifest"
    listing = ingest_archive(out, archive, tmp_path / "cache")
    rules = Rules(split=Fractions(val=0.3, test=0.3), limit=None)
    manifest = classified(listing, out, rules)
    assert manifest.classes == ("cat", "dog")
    assert sum(manifest.counts["test"].values()) == 40
    assert sum(manifest.counts["val"].values()) > 0
    images = ImageSet.open(out, "test")
    assert np.array_equal(images.pixels(SPEC), pictures("test"))
    assert images.labels == [0, 1] * 20
    assert images.ids[3] == "test/00003"
    train = ImageSet.open(out, "train")
    expected = pictures("train")[[int(name.split("/")[1]) for name in train.ids]]
    assert np.array_equal(train.pixels(SPEC), expected)


def test_download_is_kept_and_not_repeated(tmp_path: Path) -> None:
    archive = archive_like(cifar10.ARCHIVE, tmp_path)
    ingest_archive(tmp_path / "one", archive, tmp_path / "cache")
    (tmp_path / "cifar-10-binary.tar.gz").unlink()
    assert ingest_archive(tmp_path / "two", archive, tmp_path / "cache").classes == ("cat", "dog")


def test_wrong_checksum_is_refused(tmp_path: Path) -> None:
    archive = archive_like(cifar10.ARCHIVE, tmp_path)
    cached = tmp_path / "cache/cifar-10-binary.tar.gz"
    cached.parent.mkdir()
    cached.write_bytes(b"half a download")
    with pytest.raises(UserError, match="md5 is .* expected .*; delete it and run again"):
        ingest_archive(tmp_path / "out", archive, tmp_path / "cache")


def test_no_network_says_where_to_put_the_file(tmp_path: Path) -> None:
    unreachable = dataclasses.replace(
        cifar10.ARCHIVE, url="http://127.0.0.1:9/cifar-10-binary.tar.gz"
    )
    with pytest.raises(UserError, match="cannot be downloaded .* put it at .*cifar-10-binary"):
        ingest_archive(tmp_path / "out", unreachable, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_published_checksums_are_the_authors() -> None:
    assert cifar10.ARCHIVE.md5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert cifar100.ARCHIVE.md5 == "03b5dce01913d631647c71ecec9e9cb8"
