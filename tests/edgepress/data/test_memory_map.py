"""Memory maps: made once, gone on with after a kill, the same bytes whatever happened."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgepress.data.memory_map import mapped
from edgepress.records.tensors import Arrays

COUNT = 50
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 4, 1), np.uint8)
BOXES = np.random.default_rng(1).random((COUNT, 2, 4)).astype(np.float32)
LABELS = np.arange(COUNT, dtype=np.int64)


class Source:
    """Rows that count how often they were asked for, and may die on the way."""

    def __init__(self, dies_at: int = COUNT) -> None:
        self.dies_at = dies_at
        self.made = 0

    def __call__(self, start: int) -> Iterator[Arrays]:
        for row in range(start, COUNT):
            if row == self.dies_at:
                raise KeyboardInterrupt
            self.made += 1
            yield {"pixels": PIXELS[row], "boxes": BOXES[row], "label": LABELS[row]}


def check(found: Arrays) -> None:
    assert sorted(found) == ["boxes", "label", "pixels"]
    for name, held in (("pixels", PIXELS), ("boxes", BOXES), ("label", LABELS)):
        assert found[name].dtype == held.dtype
        assert isinstance(found[name], np.memmap)
        np.testing.assert_array_equal(found[name], held)


def test_rows_are_made_once_when_asked_for_twice(tmp_path: Path) -> None:
    source = Source()
    check(mapped(tmp_path / "train-aa", COUNT, source))
    check(mapped(tmp_path / "train-aa", COUNT, source))
    assert source.made == COUNT
    with pytest.raises(ValueError, match="read-only"):
        mapped(tmp_path / "train-aa", COUNT, source)["label"][0] = 1


@pytest.mark.parametrize("killed_at", [0, 1, 17, 49])
def test_making_goes_on_where_it_was_killed(killed_at: int, tmp_path: Path) -> None:
    folder = tmp_path / "train-aa"
    with pytest.raises(KeyboardInterrupt):
        mapped(folder, COUNT, Source(killed_at))
    assert not folder.exists()
    again = Source()
    check(mapped(folder, COUNT, again))
    assert again.made == COUNT - killed_at


@pytest.mark.parametrize("name", ["pixels", "label"])
@pytest.mark.parametrize("lost", [1, 700])
def test_what_was_half_written_is_made_anew(name: str, lost: int, tmp_path: Path) -> None:
    """A killed process leaves what its buffers had written: a part of a row, or of a header."""
    folder = tmp_path / "train-aa"
    with pytest.raises(KeyboardInterrupt):
        mapped(folder, COUNT, Source(17))
    file = tmp_path / ".train-aa.partial" / f"{name}.npy"
    with file.open("r+b") as held:
        held.truncate(max(0, file.stat().st_size - lost))
    check(mapped(folder, COUNT, Source()))


@pytest.mark.parametrize("left", [0, 100, 500])
def test_map_is_made_anew_when_a_file_was_cut_off_since(left: int, tmp_path: Path) -> None:
    folder = tmp_path / "train-aa"
    mapped(folder, COUNT, Source())
    with (folder / "pixels.npy").open("r+b") as held:
        held.truncate(left)
    again = Source()
    check(mapped(folder, COUNT, again))
    assert again.made == COUNT


def test_older_maps_of_the_same_kind_go_and_others_stay(tmp_path: Path) -> None:
    for name in ("train-16x16x1-old", "val-16x16x1-old", "train-8x8x1-old"):
        mapped(tmp_path / name, COUNT, Source())
    mapped(tmp_path / "train-16x16x1-new", COUNT, Source())
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert left == ["train-16x16x1-new", "train-8x8x1-old", "val-16x16x1-old"]


def _slow(start: int) -> Iterator[Arrays]:
    for row in Source()(start):
        time.sleep(0.005)
        yield row


def _make(folder: Path) -> None:
    mapped(folder, COUNT, _slow)


def test_second_process_waits_for_the_first_when_both_want_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "train-aa"
    first = multiprocessing.get_context("fork").Process(target=_make, args=(folder,))
    first.start()
    deadline = time.monotonic() + 30
    while not (tmp_path / ".train-aa.partial" / "pixels.npy").exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    source = Source()
    check(mapped(folder, COUNT, source))
    first.join()
    assert source.made == 0


def test_too_few_rows_are_an_error_of_ours_and_nothing_looks_whole(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="50 rows came, 51 were to come"):
        mapped(tmp_path / "train-aa", COUNT + 1, Source())
    assert not (tmp_path / "train-aa").exists()
