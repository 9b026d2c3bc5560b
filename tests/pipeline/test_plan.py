"""`edgepress plan` in a project that has run: what it names is what DVC would run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.pipeline.project import Project

pytestmark = pytest.mark.timeout(900)
PLAN = (sys.executable, "-m", "edgepress.cli", "plan")


def test_plan_names_what_would_run_when_a_budget_is_changed(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    before = project.run(*PLAN)
    assert before.returncode == 0, before.stderr
    assert before.stdout.startswith("Nothing to run: all ")
    project.change(budgets={"default": {"max_p99_ms": 400.0}})
    said = project.run(*PLAN).stdout.splitlines()
    assert [line.split()[0] for line in said[1:-1]] == ["judge", "report", "register"]
    assert "params.yaml: budgets" in said[1]
    assert "if the result of judge changes" in said[2]
