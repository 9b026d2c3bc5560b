from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.commands import curate
from edgepress.errors import UserError
from edgepress.vectors import ids
from edgepress.vectors.shards import Shards

X = np.random.default_rng(9).standard_normal((40, 6)).astype(np.float32)


def _shard(path: Path, names: pa.Array, start: int = 0) -> Path:
    x = X[start : start + len(names)]
    listed = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    pq.write_table(pa.table({"id": names, "embedding": listed}), path)
    return path


def _found(path: Path) -> list[tuple[pa.DataType, list[Any]]]:
    return [(part.type, part.to_pylist()) for _, part in ids.stream(Shards.open([path]))]


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        (pa.int64(), pa.int64()),
        (pa.int32(), pa.int64()),
        (pa.uint8(), pa.int64()),
        (pa.uint64(), pa.uint64()),
        (pa.string(), pa.string()),
        (pa.large_string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (pa.dictionary(pa.int8(), pa.int32()), pa.int64()),
    ],
)
def test_ids_keep_their_type_when_they_are_whole_numbers_or_strings(
    tmp_path: Path, given: pa.DataType, passed_on: pa.DataType
) -> None:
    values = pa.array([7, 5, 3])
    if "string" in str(given):
        values = values.cast(pa.string())
    names = values.dictionary_encode() if pa.types.is_dictionary(given) else values
    found = _found(_shard(tmp_path / "a.parquet", names.cast(given)))
    assert found == [(passed_on, values.to_pylist())]


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (np.array([7, 5, 3]), pa.int64()),
        (np.array([7, 5, 3], ">i2"), pa.int64()),
        (np.array([2**64 - 1, 5, 3], np.uint64), pa.uint64()),
        (np.array(["a", "bc", "d"]), pa.string()),
        (np.array([b"a", b"bc", b"d"]), pa.string()),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_ids_of_npz_keep_their_type_when_read_in_batches(
    tmp_path: Path, names: np.ndarray, kind: pa.DataType, save: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(ids, "BATCH", 2)
    save(tmp_path / "a.npz", embeddings=X[:3], ids=names)
    found = _found(tmp_path / "a.npz")
    assert [len(part) for _, part in found] == [2, 1]
    assert {part for part, _ in found} == {kind}
    passed_on = [name for _, part in found for name in part]
    assert passed_on == (names.astype(str) if kind == pa.string() else names).tolist()


def test_kept_ids_are_numbers_of_the_source_when_its_ids_are(tmp_path: Path) -> None:
    source = _shard(tmp_path / "a.parquet", pa.array(range(100, 140)))
    _run(source, tmp_path / "kept.parquet")
    kept = pq.read_table(tmp_path / "kept.parquet", columns=["id"])["id"]
    assert kept.type == pa.int64()
    assert len(kept) == 20
    assert set(kept.to_pylist()) < set(range(100, 140))


def _run(source: Path, out: Path) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    curate.add_arguments(parser)
    options = ["--method", "random", "--keep", "0.5", "--workers", "1"]
    curate.run(parser.parse_args([str(source), "--out", str(out), *options]))


def test_ids_are_refused_when_shards_differ_in_their_type(tmp_path: Path) -> None:
    _shard(tmp_path / "a.parquet", pa.array([1, 2]))
    _shard(tmp_path / "b.parquet", pa.array(["3", "4"]), 2)
    with pytest.raises(
        UserError,
        match=r"b.parquet: ids are string, but those of .*a.parquet are int64; write all as one",
    ):
        ids.refuse_repeats(Shards.open([tmp_path]), tmp_path / "scratch")


def test_ids_are_refused_when_a_number_repeats_and_not_when_hashes_do(tmp_path: Path) -> None:
    # hash(-1) == hash(-2), and hashes are modulo 2**61 - 1
    _shard(tmp_path / "a.parquet", pa.array([-1, -2, 0, 2**61 - 1]))
    ids.refuse_repeats(Shards.open([tmp_path]), tmp_path / "scratch")
    _shard(tmp_path / "b.parquet", pa.array([4, -2]), 4)
    with pytest.raises(UserError, match=r"b.parquet: row 1: id -2 repeats that of .*: row 1;"):
        ids.refuse_repeats(Shards.open([tmp_path]), tmp_path / "scratch")


@pytest.mark.parametrize("column", ["id", "key", "image_path"])
def test_ids_beside_embeddings_are_found_when_the_column_has_a_known_name(
    tmp_path: Path, column: str
) -> None:
    np.save(tmp_path / "embeddings.npy", X[:2])
    pq.write_table(pa.table({column: ["a", "b"]}), tmp_path / "ids.parquet")
    assert _found(tmp_path) == [(pa.string(), ["a", "b"])]


def test_ids_beside_embeddings_are_refused_when_no_column_is_known(tmp_path: Path) -> None:
    np.save(tmp_path / "embeddings.npy", X[:2])
    pq.write_table(pa.table({"name": ["a", "b"], "n": [1, 2]}), tmp_path / "ids.parquet")
    with pytest.raises(
        UserError, match=r"ids.parquet: none of id, key, image_path is in it, only name, n; name"
    ):
        _found(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_ids_are_refused_in_one_line_when_a_compressed_npz_is_damaged(
    tmp_path: Path, share: float
) -> None:
    names = np.random.default_rng(1).integers(0, 2**62, 5000)
    np.savez_compressed(tmp_path / "b.npz", ids=names)
    data = bytearray((tmp_path / "b.npz").read_bytes())
    data[int(len(data) * share)] ^= 0xFF
    (tmp_path / "b.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"b.npz: ids cannot be read \(.*\); write the file again"):
        list(ids._batches(tmp_path / "b.npz", "ids"))


def test_ids_are_refused_when_they_are_no_list_of_names(tmp_path: Path) -> None:
    for names in (np.zeros((3, 2), int), np.zeros(3), np.array(5), np.array(["a", None, "b"])):
        np.savez(tmp_path / "a.npz", embeddings=X[:3], ids=names)
        with pytest.raises(UserError, match=r"a.npz: "):
            _found(tmp_path / "a.npz")
