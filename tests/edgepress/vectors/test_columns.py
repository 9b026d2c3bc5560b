from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from edgepress.vectors.columns import flags, numbers, strings


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "u8", "f4"])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_numbers_are_those_of_the_array(dtype: str, count: int) -> None:
    values = np.arange(2 * count).astype(dtype)[::2]
    assert numbers(values).equals(pa.array(values.tolist(), pa.from_numpy_dtype(dtype)))


def test_numbers_are_null_where_nan_stands_for_none() -> None:
    column = numbers(np.array([1.5, np.nan, 2.5] * 5, np.float32), nan_is_null=True)
    assert column.to_pylist() == [1.5, None, 2.5] * 5
    assert column.null_count == 5


@pytest.mark.parametrize("count", [0, 1, 8, 19])
def test_flags_are_those_of_the_array(count: int) -> None:
    values = np.random.default_rng(count).random(count) < 0.5
    assert flags(values).to_pylist() == values.tolist()


@pytest.mark.parametrize("values", [[], [""], ["a", "", "Käfer", "猫/1"]])
def test_strings_are_those_given(values: list[str]) -> None:
    column = strings(values)
    column.validate(full=True)
    assert column.to_pylist() == values


def test_command_starts_without_pandas_when_rows_have_numbers_for_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((300, 8)).astype("f4"))
    code = (
        "import sys; from edgepress.cli import main; main(sys.argv[1:]);"
        "sys.exit('pandas' in sys.modules)"
    )
    out = str(tmp_path / "kept.parquet")
    arguments = ["curate", str(tmp_path / "v.npy"), "--keep", "0.3", "--out", out]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept 90 of 300 rows" in done.stdout
