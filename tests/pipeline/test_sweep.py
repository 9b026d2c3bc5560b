"""`edgepress sweep` on the images of a project that has run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.pipeline.project import Project

pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
pytestmark = pytest.mark.timeout(900)
RATE = "distill.recipe.learning_rate"


def test_sweep_trains_once_goes_on_and_writes_the_best_when_asked(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    project.change(distill={"recipe": {"epochs": 1}})
    command = (sys.executable, "-m", "edgepress.cli", "sweep", f"{RATE}=log:0.01..0.1", "--trials")
    first = project.run(*command, "1")
    assert first.returncode == 0, first.stderr
    assert "best is trial 0" in first.stdout
    second = project.run(*command, "2", "--write")
    assert second.returncode == 0, second.stderr
    rows = re.findall(r"^ +(\d+)  0\.\d+ +done +1 epochs", second.stdout, re.MULTILINE)
    assert rows == ["0", "1"]
    best = float(re.findall(r"learning_rate: ([\d.e-]+)", second.stdout)[0])
    assert project.params()["distill"]["recipe"]["learning_rate"] == best
    refused = project.run(*command[:4], f"{RATE}=log:0.01..-1")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
