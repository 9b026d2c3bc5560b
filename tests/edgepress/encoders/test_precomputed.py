from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.encoders.request import Request
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec

SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))


def _encode(manifest: Path, embeddings: Path, ids: Path) -> np.ndarray:
    raw = {"method": "precomputed", "embeddings": str(embeddings), "ids": str(ids)}
    method = resolve("encoders", raw, "params.yaml", "embed")
    images = ImageSet.open(manifest, "train")
    return np.concatenate(list(method(Request(images, SPEC, 0)).embed(images)))


@pytest.fixture
def files(manifest: Path, tmp_path: Path) -> tuple[Path, Path]:
    names = ImageSet.open(manifest, "train").ids
    np.save(tmp_path / "e.npy", np.arange(len(names) * 3, dtype=np.float32).reshape(-1, 3))
    (tmp_path / "ids.txt").write_text("\n".join(reversed(names)) + "\n")
    return tmp_path / "e.npy", tmp_path / "ids.txt"


def test_rows_follow_the_manifest_when_the_file_has_another_order(
    manifest: Path, files: tuple[Path, Path]
) -> None:
    matrix = _encode(manifest, *files)
    np.testing.assert_array_equal(matrix, np.load(files[0])[::-1])


def test_encoding_is_refused_when_an_image_has_no_row(
    manifest: Path, files: tuple[Path, Path]
) -> None:
    names = files[1].read_text().splitlines()
    files[1].write_text("\n".join(["other", *names[1:]]))
    with pytest.raises(UserError, match=r"ids.txt: no row for 1 manifest images, first"):
        _encode(manifest, *files)


def test_encoding_is_refused_when_there_are_fewer_ids_than_rows(
    manifest: Path, files: tuple[Path, Path]
) -> None:
    files[1].write_text("one\n")
    with pytest.raises(UserError, match="1 ids for the"):
        _encode(manifest, *files)


def test_encoding_is_refused_when_the_file_is_not_a_matrix(
    manifest: Path, files: tuple[Path, Path]
) -> None:
    files[0].write_bytes(b"nothing")
    with pytest.raises(UserError, match="e.npy: not an .npy"):
        _encode(manifest, *files)


def test_encoding_is_refused_when_the_file_is_missing(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="file not found"):
        _encode(manifest, tmp_path / "no.npy", tmp_path / "no.txt")


@pytest.mark.parametrize("broken", ["npz", "empty", "folder"])
def test_encoding_is_refused_when_the_embeddings_are_no_npy(
    broken: str, manifest: Path, files: tuple[Path, Path]
) -> None:
    files[0].unlink()
    if broken == "npz":
        with files[0].open("wb") as file:
            np.savez(file, np.zeros((3, 3), np.float32))
    elif broken == "empty":
        files[0].touch()
    else:
        files[0].mkdir()
    with pytest.raises(UserError, match=r"e.npy: not an? (\.npy|file)"):
        _encode(manifest, *files)


@pytest.mark.parametrize(("data", "clause"), [(b"caf\xe9\n", "not UTF-8"), (None, "directory")])
def test_encoding_is_refused_when_the_ids_are_no_text(
    data: bytes | None, clause: str, manifest: Path, files: tuple[Path, Path]
) -> None:
    files[1].unlink()
    files[1].mkdir() if data is None else files[1].write_bytes(data)
    with pytest.raises(UserError, match=rf"ids.txt: cannot be read: .*{clause}"):
        _encode(manifest, *files)
