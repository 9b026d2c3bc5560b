from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.records.predictions import ANSWERS, Predictions


def test_answers_come_back_with_their_ids_when_opened(tmp_path: Path) -> None:
    boxes = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    Predictions.create(tmp_path, ["ä/1.png", "ids"], {"boxes": boxes, "ids": np.array([5, 6])})
    held = Predictions.open(tmp_path)
    assert held.ids == ("ä/1.png", "ids")
    assert np.array_equal(held.answers["boxes"], boxes)
    assert held.answers["ids"].tolist() == [5, 6]


def test_same_answers_are_the_same_bytes_when_written_again(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Predictions.create(tmp_path / name, ["a"], {"label": np.array([1])})
    one, two = ((tmp_path / name / ANSWERS).read_bytes() for name in ("one", "two"))
    assert one == two


def test_file_is_named_when_it_is_not_the_one_recorded(tmp_path: Path) -> None:
    Predictions.create(tmp_path, ["a"], {"label": np.array([1])})
    (tmp_path / ANSWERS).write_bytes(b"other")
    with pytest.raises(UserError, match=r"predictions\.npz: is not the file predictions\.json"):
        Predictions.open(tmp_path)
