from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.records.embeddings import Embeddings

ENCODER = {"encoder": "rotation", "encoder_sha256": "ab" * 32}


def _batches(dtype: type = np.float16) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((rows, 4)).astype(dtype) for rows in (3, 5)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_open_returns_what_create_wrote(tmp_path: Path, dtype: type) -> None:
    batches = _batches(dtype)
    names = [f"image-{i}" for i in range(8)]
    record = Embeddings.create(tmp_path, iter(batches), names, **ENCODER)
    opened = Embeddings.open(tmp_path)
    assert isinstance(opened.vectors, np.memmap)
    assert opened.vectors.dtype == dtype
    np.testing.assert_array_equal(opened.vectors, np.concatenate(batches))
    assert opened.ids == names
    assert opened.record == record
    assert (record.rows, record.width, record.encoder) == (8, 4, "rotation")


@pytest.mark.parametrize(
    ("ids", "batches", "clause"),
    [
        (7, _batches(), "more vectors than the 7 ids"),
        (9, _batches(), "8 vectors for 9 ids"),
        (2, [], "0 vectors for 2 ids"),
        (8, [_batches()[0], _batches(np.float32)[1]], "row 3: float32"),
        (4, [np.ones((4, 4))], "got float64"),
        (2, [np.array([[1, 2], [3, np.nan]], np.float32)], "vector of image '1' is not finite"),
    ],
)
def test_create_refuses_and_leaves_no_record_when_rows_are_wrong(
    tmp_path: Path, ids: int, batches: list[np.ndarray], clause: str
) -> None:
    with pytest.raises(UserError, match=clause):
        Embeddings.create(tmp_path, batches, [str(i) for i in range(ids)], **ENCODER)
    assert list(tmp_path.iterdir()) == []


def test_create_takes_a_whole_array(tmp_path: Path) -> None:
    whole = np.concatenate(_batches())
    Embeddings.create(tmp_path, whole, [str(i) for i in range(8)], **ENCODER)
    np.testing.assert_array_equal(Embeddings.open(tmp_path).vectors, whole)


def test_create_refuses_when_an_id_is_repeated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="row 2: id 'a' is repeated"):
        Embeddings.create(tmp_path, _batches(), ["a", "b", "a"], **ENCODER)


def test_open_refuses_when_a_file_was_changed(tmp_path: Path) -> None:
    Embeddings.create(tmp_path, _batches(), [str(i) for i in range(8)], **ENCODER)
    np.save(tmp_path / "embeddings.npy", np.zeros((8, 4), np.float16))
    with pytest.raises(UserError, match="embeddings.npy: is not the file"):
        Embeddings.open(tmp_path)
    (tmp_path / "embeddings.npy").unlink()
    with pytest.raises(UserError, match="embeddings.npy: file not found"):
        Embeddings.open(tmp_path)


def test_open_refuses_when_the_record_disagrees_with_the_files(tmp_path: Path) -> None:
    Embeddings.create(tmp_path, _batches(), [str(i) for i in range(8)], **ENCODER)
    path = tmp_path / "embeddings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rows": 9}))
    with pytest.raises(UserError, match="embeddings.json says 9 x 4"):
        Embeddings.open(tmp_path)
