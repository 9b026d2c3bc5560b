from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepress
from edgepress.workers import rows
from edgepress.workers.rows import RowFile

ROOT = str(Path(edgepress.__file__).parents[1])


def _refuse(code: int) -> Any:
    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def test_row_file_has_its_blocks_when_it_is_made(tmp_path: Path) -> None:
    column = RowFile(tmp_path / "c.rows", np.dtype(np.int64), 50_000)
    assert (tmp_path / "c.rows").stat().st_blocks * 512 >= 400_000
    column.scatter(np.array([0, 49_999]), np.array([3, 4]))
    assert column.read(49_998, 50_000).tolist() == [0, 4]


def test_row_file_leaves_no_file_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", _refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        RowFile(tmp_path / "c.rows", np.dtype(np.int64), 100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_row_file_is_made_all_the_same_when_the_disk_allocates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    if code is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", _refuse(code))
    assert RowFile(tmp_path / "c.rows", np.dtype(np.int64), 3).read(0, 3).tolist() == [0, 0, 0]


def test_row_file_of_the_right_size_is_kept(tmp_path: Path) -> None:
    RowFile(tmp_path / "c.rows", np.dtype(np.int64), 3).write(0, np.array([5, 6, 7]))
    assert RowFile(tmp_path / "c.rows", np.dtype(np.int64), 3).read(0, 3).tolist() == [5, 6, 7]
    assert RowFile(tmp_path / "c.rows", np.dtype(np.int64), 0).read(0, 0).tolist() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 5,300 KiB of its own; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=5300k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, timeout=20)
    except OSError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=20)


def test_curate_refuses_in_one_line_when_the_disk_of_scratch_fills_up(
    tmp_path: Path, small_disk: Path
) -> None:
    vectors = np.random.default_rng(0).standard_normal((60_000, 32)).astype(np.float16)
    np.save(tmp_path / "e.npy", vectors)
    command = [sys.executable, "-c", "import sys; from edgepress.cli import main; sys.exit(main())"]
    command += ["curate", "e.npy", "--keep", ".3", "--out", "o.parquet", "--workers", "1"]
    done = subprocess.run(
        [*command, "--scratch", str(small_disk / "s")],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"{small_disk / 's'}: no space left" in done.stderr
    assert not (tmp_path / "o.parquet").exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_scattered_values_lie_where_they_belong_when_the_file_is_mapped_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type
) -> None:
    monkeypatch.setattr(rows, "MAPPED", 64)
    column = RowFile(tmp_path / "c.rows", np.dtype(dtype), 5_001)
    places = np.random.default_rng(0).permutation(5_001)[:3_000]
    values = np.arange(3_000) % 251
    column.scatter(places[:0], values[:0])
    column.scatter(places, values)
    expected = np.zeros(5_001, np.int64)
    expected[places] = values
    np.testing.assert_array_equal(column.read(0, 5_001), expected)
