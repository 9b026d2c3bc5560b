from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.errors import UserError
from edgepress.records.embeddings import Embeddings
from edgepress.vectors import ids
from edgepress.vectors.shards import Shards

X = np.random.default_rng(3).standard_normal((50, 6)).astype(np.float32)


def _parquet(path: Path, vectors: np.ndarray, **columns: Any) -> Path:
    flat = pa.array(vectors.ravel())
    listed = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    pq.write_table(pa.table({"embedding": listed, **columns}), path, row_group_size=7)
    return path


def _every_format(folder: Path, dtype: type) -> list[Path]:
    x: np.ndarray = X.astype(dtype)
    np.save(folder / "a.npy", x[:20])
    np.savez(folder / "b.npz", embeddings=x[20:30], other=np.zeros(3))
    np.savez_compressed(folder / "c.npz", vectors=x[30:33])
    _parquet(folder / "d.parquet", x[33:45])
    listed = pa.array(x[45:].tolist(), pa.list_(pa.from_numpy_dtype(dtype)))
    pq.write_table(pa.table({"v": listed}), folder / "e.parquet")
    return [folder / name for name in ("a.npy", "b.npz", "c.npz", "d.parquet", "e.parquet")]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_read_returns_the_same_rows_from_every_format(tmp_path: Path, dtype: type) -> None:
    shards = Shards.open(_every_format(tmp_path, dtype))
    assert (shards.rows, shards.width, shards.dtype) == (50, 6, np.dtype(dtype).name)
    for start, stop in [(0, 50), (19, 21), (28, 47), (33, 34), (49, 50), (3, 9)]:
        np.testing.assert_array_equal(shards.read(start, stop), X.astype(dtype)[start:stop])


def test_take_returns_single_rows_in_order(tmp_path: Path) -> None:
    shards = Shards.open(_every_format(tmp_path, np.float32))
    rows = np.array([0, 3, 4, 19, 20, 31, 44, 49])
    np.testing.assert_array_equal(np.concatenate(list(shards.take(rows))), X[rows])


def test_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        np.save(tmp_path / f"part_{number}.npy", np.full((2, 3), number, np.float32))
    (tmp_path / ".part_0.npy").write_bytes(b"hidden")
    assert Shards.open([tmp_path]).read(0, 6)[:, 0].tolist() == [1, 1, 2, 2, 10, 10]


def test_where_names_file_and_row_in_the_file(tmp_path: Path) -> None:
    shards = Shards.open(_every_format(tmp_path, np.float32))
    assert shards.where(31).endswith("c.npz: row 1")


def test_ids_come_from_a_record_of_embeddings(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(50)]
    Embeddings.create(tmp_path, X, names, encoder="e", encoder_sha256="0" * 64)
    found = [name for _, part in ids.stream(Shards.open([tmp_path])) for name in part.to_pylist()]
    assert found == names


def test_ids_come_from_metadata_beside_img_emb(tmp_path: Path) -> None:
    (tmp_path / "img_emb").mkdir()
    (tmp_path / "metadata").mkdir()
    for number, part in enumerate(np.split(X, [30])):
        np.save(tmp_path / "img_emb" / f"img_emb_{number}.npy", part)
        keys = pa.array([f"{number:03d}{row:05d}" for row in range(len(part))])
        pq.write_table(
            pa.table({"key": keys}), tmp_path / "metadata" / f"metadata_{number}.parquet"
        )
    shards = Shards.open([tmp_path])
    found = {start: part.to_pylist()[0] for start, part in ids.stream(shards)}
    assert found == {0: "00000000", 30: "00100000"}
    (tmp_path / "metadata" / "metadata_1.parquet").unlink()
    with pytest.raises(UserError, match="metadata_1.parquet: file not found"):
        Shards.open([tmp_path])


def test_ids_are_row_numbers_when_none_are_given(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    found = [name for _, part in ids.stream(Shards.open([tmp_path])) for name in part.to_pylist()]
    assert found == list(range(50))


def test_ids_of_parquet_and_npz_travel_with_the_vectors(tmp_path: Path) -> None:
    _parquet(tmp_path / "a.parquet", X[:4], id=pa.array(["a", "b", "c", "d"]))
    np.savez(tmp_path / "b.npz", embeddings=X[4:6], ids=np.array(["e", "f"]))
    shards = Shards.open([tmp_path])
    found = [name for _, part in ids.stream(shards) for name in part.to_pylist()]
    assert found == list("abcdef")


@pytest.mark.parametrize(
    ("second", "clause"),
    [("b", "b.parquet: row 1: id 'b' repeats that of .*a.parquet: row 1"), (None, "row 1: the id")],
)
def test_ids_are_refused_when_repeated_or_missing(
    tmp_path: Path, second: str | None, clause: str
) -> None:
    _parquet(tmp_path / "a.parquet", X[:4], id=pa.array(["a", "b", "c", "d"]))
    _parquet(tmp_path / "b.parquet", X[4:6], id=pa.array(["e", second]))
    with pytest.raises(UserError, match=clause):
        ids.refuse_repeats(Shards.open([tmp_path]), tmp_path / "scratch")


def _damaged(tmp_path: Path, kind: str) -> list[Path]:
    good = tmp_path / "a.npy"
    np.save(good, X)
    bad = tmp_path / "b.npy"
    if kind == "truncated":
        bad.write_bytes(good.read_bytes()[:-30])
    elif kind == "cut":
        bad = tmp_path / "b.npz"
        np.savez(bad, embeddings=X)
        bad.write_bytes(bad.read_bytes()[:300])
    elif kind == "parquet":
        bad = _parquet(tmp_path / "b.parquet", X)
        bad.write_bytes(bad.read_bytes()[:200])
    elif kind == "zero-bytes":
        bad.touch()
    elif kind == "pickle":
        np.save(bad, np.array([{"a": 1}]), allow_pickle=True)
    elif kind == "text":
        bad = tmp_path / "b.csv"
        bad.write_text("1,2")
    else:
        arrays = {
            "empty": X[:0], "width": X[:, :5], "dtype": X.astype(np.float16),
            "double": X.astype(np.float64), "flat": X.ravel(), "order": np.asfortranarray(X),
        }  # fmt: skip
        np.save(bad, np.asanyarray(arrays[kind]))
    return [good, bad]


@pytest.mark.parametrize(
    ("kind", "clause"),
    [
        ("truncated", r"b.npy: row 48: truncated, 30 bytes are missing"),
        ("cut", r"b.npz: damaged or truncated"),
        ("parquet", r"b.parquet: damaged or truncated"),
        ("zero-bytes", r"b.npy: damaged or truncated"),
        ("pickle", r"b.npy: expected an array \[rows, width\]"),
        ("text", r"b.csv: expected one of .npy, .npz, .parquet"),
        ("empty", r"b.npy: holds no rows"),
        ("width", r"b.npy: 5 wide, but .*a.npy is 6"),
        ("dtype", r"b.npy: float16, but .*a.npy is float32"),
        ("double", r"b.npy: expected float16 or float32, got float64"),
        ("flat", r"b.npy: expected an array \[rows, width\]"),
        ("order", r"b.npy: columns come first"),
    ],
)
def test_open_refuses_and_names_the_shard_when_one_is_bad(
    tmp_path: Path, kind: str, clause: str
) -> None:
    with pytest.raises(UserError, match=clause):
        Shards.open(_damaged(tmp_path, kind))


def test_open_refuses_when_a_path_is_missing_empty_or_given_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.npy: No such file"):
        Shards.open([tmp_path / "gone.npy"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"folder: no .npy"):
        Shards.open([tmp_path / "folder"])
    with pytest.raises(UserError, match="no shards given"):
        Shards.open([])
    np.save(tmp_path / "a.npy", X)
    with pytest.raises(UserError, match="a.npy: given twice"):
        Shards.open([tmp_path, tmp_path / "a.npy"])


def test_open_refuses_when_only_some_shards_bring_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    _parquet(tmp_path / "b.parquet", X, id=pa.array([str(i) for i in range(50)]))
    with pytest.raises(UserError, match=r"a.npy: has no ids, but .*b.parquet has"):
        Shards.open([tmp_path])


@pytest.mark.parametrize("change", ["vanish", "shrink", "touch"])
def test_read_refuses_and_names_the_shard_when_it_changes_meanwhile(
    tmp_path: Path, change: str
) -> None:
    shards = Shards.open(_every_format(tmp_path, np.float32))
    path = tmp_path / "a.npy"
    if change == "vanish":
        path.unlink()
    elif change == "shrink":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        np.save(path, X[:20] * 2)
        import os

        os.utime(path, ns=(1, 1))
    with pytest.raises(UserError, match=r"a.npy: (No such file|changed while)"):
        shards.read(0, 5)


@pytest.mark.parametrize("where", ["vector", "component", "width"])
def test_read_refuses_and_names_the_row_when_a_list_is_broken(tmp_path: Path, where: str) -> None:
    broken: dict[str, Any] = {"vector": None, "component": [5.0, None], "width": [5.0]}
    lists: list[Any] = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    lists[2] = broken[where]
    table = pa.table({"embedding": pa.array(lists, pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a.parquet: row 2: "):
        Shards.open([tmp_path]).read(0, 3)
