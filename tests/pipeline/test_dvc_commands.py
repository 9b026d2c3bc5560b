"""What people do with DVC on a clone: pull what others ran, try a number, compare, plot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.project import TARGETS, Project

pytestmark = pytest.mark.timeout(900)


def _git(project: Project, *arguments: str) -> None:
    who = ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=project.folder, check=True, capture_output=True)


def _ran(output: str) -> list[str]:
    lines = [line for line in output.splitlines() if "Running stage" in line]
    return [line.split("'")[1] for line in lines]


@pytest.fixture(scope="module")
def shared(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished project, committed with its dvc.lock and pushed to a remote of its own."""
    folder = tmp_path_factory.mktemp("shared")
    project = finished.copy(folder / "project")
    _git(project, "add", "-A")
    _git(project, "add", "-f", "dvc.lock")
    _git(project, "commit", "-qm", "A run")
    assert (
        project.run("dvc", "remote", "add", "-d", "shared", str(folder / "remote")).returncode == 0
    )
    _git(project, "commit", "-qam", "Share it")
    pushed = project.run("dvc", "push", "-q")
    assert pushed.returncode == 0, pushed.stderr
    return project


@pytest.fixture(scope="module")
def clone(shared: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A second clone that pulled what the first one ran."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    subprocess.run(["git", "clone", "-q", str(shared.folder), str(folder)], check=True)
    project = Project(folder)
    pulled = project.run("dvc", "pull", "-q")
    assert pulled.returncode == 0, pulled.stderr
    return project


def test_state_alone_runs_when_a_second_clone_has_pulled(clone: Project) -> None:
    assert _ran(clone.repro()) == ["state"]


def test_teacher_alone_is_trained_when_an_experiment_sets_its_epochs(clone: Project) -> None:
    settings = ("-S", "train.recipe.epochs=2", "-S", "train.recipe.learning_rate=5e-2")
    done = clone.run("dvc", "exp", "run", *settings, "train")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _ran(done.stdout) == ["state", "train"]
    recipe = clone.params()["train"]["recipe"]
    assert recipe["epochs"] == 2
    assert recipe["learning_rate"] == 0.05
    changed = json.loads(clone.run("dvc", "metrics", "diff", "--json").stdout)
    assert changed["metrics/train.json"]["epochs"]["new"] == 2
    shown = clone.run("dvc", "exp", "show", "--csv", "--no-pager")
    assert shown.returncode == 0, shown.stderr
    assert "train.recipe.epochs" in shown.stdout
    assert "metrics/train.json:epochs" in shown.stdout
    # As docs/comparing.md says it: of hundreds of columns those that differ.
    few = clone.run(
        "dvc", "exp", "show", "-n", "2", "--only-changed", "--drop", ".*cost.*", "--csv"
    )
    columns = few.stdout.splitlines()[0].split(",")
    assert {"train.recipe.epochs", "train.recipe.learning_rate"} <= set(columns)
    assert len(columns) < 30
    _git(clone, "commit", "-qam", "Two epochs")
    between = clone.run("dvc", "metrics", "diff", "HEAD~1", "HEAD", "--json")
    assert json.loads(between.stdout)["metrics/train.json"]["epochs"] == {
        "old": 4,
        "new": 2,
        "diff": -2,
    }
    compare = (sys.executable, "-m", "edgepress.cli", "compare")
    told = clone.run(*compare, "HEAD~1", ".", "--json", "compared.json")
    assert told.returncode == 0, told.stderr
    assert "train.recipe.epochs: 4 -> 2" in told.stdout
    rows = json.loads((clone.folder / "compared.json").read_text())["rows"]
    gains = {row["model"]: row["gain"] for row in rows if row["score"] == "accuracy"}
    assert {"teacher", "student", "slim", "quantized/int8", *TARGETS} == set(gains) - {
        "quantized/fp32"
    }
    assert gains["teacher"]["value"] != 0
    assert gains["student"]["value"] == 0


def test_learning_curves_are_drawn_when_plots_are_shown(clone: Project, tmp_path: Path) -> None:
    done = clone.run("dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "plots" / "index.html").read_text()
    assert all(f"{name}/history.json" in page for name in ("teacher", "student", "slim"))
