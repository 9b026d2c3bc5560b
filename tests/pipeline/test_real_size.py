"""The benchmark of real size, at a size for tests: real stages, killed and resumed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.project import ROOT, environment

pytestmark = pytest.mark.timeout(900)


def _told(tmp_path: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "benchmarks/real_size.py", "--folder", str(tmp_path), *words],
        cwd=ROOT,
        env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
    return done.stdout


def test_weights_are_the_same_when_a_streamed_training_was_killed_at_a_random_step(
    tmp_path: Path,
) -> None:
    small = ("--images", "200", "--batch", "16", "--checkpoints", "0")
    told = _told(tmp_path, *small, "--threads", "4", "--cache", "none")
    found = re.search(r"killed at step (\d+) of 12, resumed at (\d+),", told)
    assert found is not None, told
    assert told.endswith("the same bytes\n")
    assert int(found[1]) == int(found[2]) > 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_weights_are_the_same_in_every_way_when_there_are_ten_thousand_images(
    tmp_path: Path,
) -> None:
    told = _told(tmp_path, "--images", "10000", "--checkpoints", "1")
    assert told.count("the same bytes") == 6
