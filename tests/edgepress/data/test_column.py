"""Columns: the same values as Arrow's, one by one and all of them, in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.data.column import Column


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=9)), st.data())
def test_values_are_arrows_when_rows_are_any(chunks: list[list[Any]], data: st.DataObject) -> None:
    held = pa.chunked_array([pa.array(each, pa.string()) for each in chunks], pa.string())
    every = held.to_pylist()
    places = st.lists(st.integers(0, max(len(every) - 1, 0)), max_size=20 if every else 0)
    rows = np.array(data.draw(places), np.int64)
    column: Column[Any] = Column(held, rows)
    assert list(column) == [every[row] for row in rows]
    assert [column[at] for at in range(len(column))] == list(column)


def test_values_near_and_far_are_converted_when_they_are_asked_for() -> None:
    held = pa.chunked_array([pa.array(range(100_000)), pa.array(range(100_000, 200_000))])
    near = Column(held, np.array([100_001, 99_999, 100_001]), lambda value: value * 2)
    assert list(near) == [200_002, 199_998, 200_002]
    rows = np.array([199_999, 0, 99_999, 100_000])
    column = Column(held, rows, lambda value: value * 2)
    assert list(column) == [399_998, 0, 199_998, 200_000]
    assert column[0] == 399_998
