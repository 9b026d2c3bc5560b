from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepress.errors import UserError
from edgepress.vectors import cursor, npy, parquet
from edgepress.vectors.shards import Shards

ROWS, WIDTH = 1000, 8
X = np.random.default_rng(5).standard_normal((ROWS, WIDTH)).astype(np.float16)
KINDS = ("npz", "fixed", "list", "groups")


def _write(folder: Path, kind: str, x: np.ndarray = X) -> Path:
    """Write vectors as one large piece, or as pieces of 300 rows for `groups`."""
    if kind == "npz":
        np.savez_compressed(folder / "a.npz", embeddings=x)
        return folder / "a.npz"
    width = x.shape[1]
    listed = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), width)
    if kind == "list":
        listed = listed.cast(pa.list_(listed.type.value_type))
    path = folder / f"{kind}.parquet"
    size = 300 if kind == "groups" else len(x)
    page = max(4096, x.nbytes // 25)
    pq.write_table(pa.table({"embedding": listed}), path, row_group_size=size, data_page_size=page)
    return path


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor, "RUN", 37 * WIDTH)


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    spans=st.lists(
        st.tuples(st.integers(0, ROWS - 1), st.integers(1, 400)), min_size=1, max_size=12
    )
)
def test_read_equals_the_array_when_spans_come_in_any_order(
    tmp_path: Path, kind: str, spans: list[tuple[int, int]]
) -> None:
    shards = Shards.open([_write(tmp_path, kind)])
    for start, length in spans:
        stop = min(start + length, ROWS)
        np.testing.assert_array_equal(shards.read(start, stop), X[start:stop])


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize("kind", KINDS)
def test_read_equals_the_array_when_threads_take_spans_in_turn(tmp_path: Path, kind: str) -> None:
    shards = Shards.open([_write(tmp_path, kind)])
    starts = range(0, ROWS, 50)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda start: shards.read(start, start + 50), starts))
    np.testing.assert_array_equal(np.concatenate(found), X)


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize("kind", KINDS)
def test_stream_begins_once_when_reads_go_forward(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path] = []
    plain = cursor.Cursor

    def counted(path: Path, *rest: object) -> cursor.Cursor:
        begun.append(path)
        return plain(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cursor, "Cursor", counted)
    shards = Shards.open([_write(tmp_path, kind)])
    for start in range(0, ROWS, 100):  # leaves gaps, and reads the last row twice
        shards.read(start, start + 60)
        shards.read(start + 59, start + 60)
    assert len(begun) == (4 if kind == "groups" else 1)


@pytest.mark.usefixtures("short_runs")
def test_runs_are_short_when_the_piece_is_large(tmp_path: Path) -> None:
    runs = [
        list(npy.runs(_write(tmp_path, "npz"), "embeddings", cursor.run_rows(WIDTH))),
        list(parquet.runs(_write(tmp_path, "fixed"), "embedding", 0, WIDTH)),
        list(parquet.runs(_write(tmp_path, "list"), "embedding", 0, WIDTH)),
    ]
    for found in runs:
        np.testing.assert_array_equal(np.concatenate(found), X)
        assert max(len(run) for run in found) <= 37


def test_a_run_holds_one_row_when_rows_are_very_wide() -> None:
    assert cursor.run_rows(10 * cursor.RUN) == 1


@pytest.mark.parametrize("kind", ["npz", "fixed", "list"])
def test_memory_is_bounded_when_one_piece_holds_all_rows(tmp_path: Path, kind: str) -> None:
    x = np.random.default_rng(6).standard_normal((100_000, 64)).astype(np.float32)
    shards = Shards.open([_write(tmp_path, kind, x)])
    base, arrow = pa.total_allocated_bytes(), 0
    tracemalloc.start()
    try:
        for start in range(0, len(x), 1000):
            np.testing.assert_array_equal(shards.read(start, start + 1000), x[start : start + 1000])
            arrow = max(arrow, pa.total_allocated_bytes() - base)
        peak = tracemalloc.get_traced_memory()[1] + arrow
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 3


def test_read_is_refused_each_time_when_the_stream_is_damaged(tmp_path: Path) -> None:
    path = _write(tmp_path, "npz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    shards = Shards.open([path])
    for _ in range(2):
        with pytest.raises(UserError, match=r"a.npz: row 0 on: cannot be decoded \(.*; write"):
            shards.read(0, ROWS)


def test_cursor_refuses_when_the_stream_ends_early(tmp_path: Path) -> None:
    place = cursor.Cursor(tmp_path / "a.npz", 10, iter([np.zeros((5, 2), np.float16)]))
    with pytest.raises(UserError, match=r"a.npz: row 15: the file ends early"):
        place.read(12, 16)
