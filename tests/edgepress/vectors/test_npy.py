from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.vectors import npy
from edgepress.vectors.shards import Shards

X = np.random.default_rng(7).standard_normal((3000, 16)).astype(np.float16)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"'shape': (", b"'shape': ["),  # TokenError of the tokenizer
        (b"{'descr'", b"{ descr "),
        (b"'descr'", b"b'desc'"),  # TypeError: keys that cannot be sorted
        (b"False", b"Fa se"),  # SyntaxError or ValueError
        (b"(3000, 16)", b"(-300, 16)"),
    ],
)
def test_open_refuses_and_names_the_shard_when_the_header_is_broken(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, X)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new.ljust(len(old)), 1))
    with pytest.raises(UserError, match=r"a.npy: "):
        Shards.open([path])


@pytest.mark.filterwarnings("ignore")
def test_header_raises_nothing_else_when_any_two_bytes_of_it_are_changed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, X)
    rng = np.random.default_rng(8)
    for _ in range(500):
        data = bytearray(buffer.getvalue()[:128])
        for place in rng.integers(0, 80, 2):
            data[place] = rng.choice(list(b"{}()[],:'\"\\ #01bLT|O\x00\xff"))
        try:
            npy.header(io.BytesIO(bytes(data)), tmp_path)
        except (ValueError, UserError):
            continue


def _flip(path: Path, share: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.9])
def test_shards_refuse_in_one_line_when_a_compressed_npz_is_damaged(
    tmp_path: Path, share: float
) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, embeddings=X)
    _flip(path, share)
    with pytest.raises(UserError, match=r"a.npz: (row 0 on: cannot be decoded|damaged)"):
        Shards.open([path]).read(0, len(X))


def test_shards_refuse_when_the_checksum_alone_tells_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, embeddings=X)
    with zipfile.ZipFile(path) as archive:
        mark = archive.infolist()[0].CRC.to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(mark, b"\x01\x02\x03\x04"))
    with pytest.raises(UserError, match=r"row 0 on: cannot be decoded \(Bad CRC-32"):
        Shards.open([path]).read(0, len(X))


def test_open_refuses_when_a_compressed_npz_holds_fewer_rows_than_its_header_says(
    tmp_path: Path,
) -> None:
    buffer = io.BytesIO()
    np.save(buffer, X)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("embeddings.npy", buffer.getvalue()[:-40])
    with pytest.raises(UserError, match=r"a.npz: row 2998: truncated, 40 bytes are missing"):
        Shards.open([tmp_path / "a.npz"])


def _saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _zipped(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "values", [X, np.arange(5), np.array(3.5), np.zeros((0, 4)), np.array(["a", "bc"])]
)
def test_array_is_mapped_whatever_its_shape_and_type(values: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", values)
    found = npy.array(tmp_path / "a.npy")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


WHOLE = _saved(np.arange(9))
NO_ARRAYS = {
    "empty": b"",
    "text": b"0.1 0.2 0.3",
    "npz": _zipped(np.arange(9)),
    "empty npz": b"PK\5\6" + bytes(18),
    "pickle": b"\x80\x04K\x01.",
    "objects": _saved(np.array([{}, "a"], object)),
    "cut off in the header": WHOLE[:50],
    "cut off in the data": WHOLE[:-1],
    "header that is none": WHOLE.replace(b"{'descr'", b"(((((((("),
    "later version": WHOLE[:6] + b"\x09" + WHOLE[7:],
    "more rows than data": WHOLE.replace(b"(9,), }             ", b"(999999999999999,), }"),
}


@pytest.mark.parametrize("data", NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_array_is_refused_in_one_line_when_it_is_no_npy(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(UserError, match=r"a.npy: not an .npy .*save (the|its) array by numpy.save"):
        npy.array(tmp_path / "a.npy")


def test_array_is_refused_when_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone.npy: file not found"):
        npy.array(tmp_path / "gone.npy")
    with pytest.raises(UserError, match="not a file"):
        npy.array(tmp_path)
