from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.workers.scratch import Work

FORK = multiprocessing.get_context("fork")


def _hold(parent: Path, key: str, ready: Any) -> None:
    work = Work.open(parent, key)
    work.save("step", {"a": np.ones(1)})
    ready.set()
    signal.pause()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Any]:
    """Return a process that works in the folder of key "a" below `tmp_path` until it is killed."""
    ready = FORK.Event()
    process = FORK.Process(target=_hold, args=(tmp_path, "a", ready))
    process.start()
    assert ready.wait(30)
    yield process
    process.kill()
    process.join()


def test_open_refuses_when_another_process_runs_the_same_job(tmp_path: Path, holder: Any) -> None:
    with pytest.raises(UserError, match=r"run-a: another process runs this job there; wait"):
        Work.open(tmp_path, "a")
    assert (tmp_path / "run-a" / "step.npz").is_file()


def test_open_leaves_the_folder_of_another_key_while_a_process_works_in_it(
    tmp_path: Path, holder: Any
) -> None:
    (tmp_path / "run-given-up").mkdir()
    work = Work.open(tmp_path, "b")
    assert (tmp_path / "run-a" / "step.npz").is_file()
    assert not (tmp_path / "run-given-up").exists()
    work.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-a", "run-a.lock"]


def test_open_goes_on_or_clears_away_when_the_other_process_was_killed(
    tmp_path: Path, holder: Any
) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    work = Work.open(tmp_path, "a")
    assert work.load("step") is not None
    work.release()
    Work.open(tmp_path, "b").remove()
    assert list(tmp_path.iterdir()) == []


def test_open_refuses_twice_in_one_process_until_it_is_released(tmp_path: Path) -> None:
    first = Work.open(tmp_path, "a")
    with pytest.raises(UserError, match="another process"):
        Work.open(tmp_path, "a")
    first.release()
    second = Work.open(tmp_path, "a")
    first.remove()
    with pytest.raises(UserError, match="another process"):
        Work.open(tmp_path, "a")
    second.release()


def test_work_is_free_when_nobody_refers_to_it(tmp_path: Path) -> None:
    Work.open(tmp_path, "a")
    Work.open(tmp_path, "a").remove()


def test_lock_is_held_when_a_folder_inside_is_removed(tmp_path: Path) -> None:
    work = Work.open(tmp_path, "a")
    below = work.below("part")
    below.remove()
    with pytest.raises(UserError, match="another process"):
        Work.open(tmp_path, "a")


def test_open_works_but_clears_nothing_away_when_the_storage_knows_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run-other").mkdir()

    def unknown(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unknown)
    work = Work.open(tmp_path, "a")
    work.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["run-other"]
