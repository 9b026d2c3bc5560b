"""The example of docs/add_a_task.md goes through the whole graph as it stands."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from edgepress.records.measurement import Measurement
from edgepress.records.verdict import Verdicts
from tests.pipeline.project import ROOT, Project, copy_project

pytestmark = pytest.mark.timeout(900)

TARGET = "x86_64-onnxruntime-fp32"


@pytest.fixture(scope="module")
def grading(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with the page's files and entry, one target of it run."""
    page = (ROOT / "docs" / "add_a_task.md").read_text()
    project = copy_project(tmp_path_factory.mktemp("grading"))
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        path = project.folder / code.splitlines()[0].removeprefix("# ")
        assert path.parent == project.folder / "edgepress" / "tasks" / "grading"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    (project.folder / "edgepress/tasks/grading/__init__.py").write_text("")
    (entry,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    project.change(**yaml.safe_load(entry))
    project.change(places=["x86_64-onnxruntime"], precisions=["fp32"])
    project.run_all()
    return project


def test_every_model_grades_when_the_graph_has_run(grading: Project) -> None:
    for name in ("train", "distill", "slim"):
        metrics = json.loads((grading.folder / "metrics" / f"{name}.json").read_text())
        assert metrics["scores"]["test"]["within_one"] > 0.6


def test_target_is_judged_by_the_new_scores_when_measured(grading: Project) -> None:
    measurement = Measurement.read(grading.folder / "targets" / "measured" / TARGET)
    assert [score.name for score in measurement.scores] == ["within_one", "exact"]
    verdicts = Verdicts.read(grading.folder / "targets" / "judged" / TARGET)
    judged = {verdict.gate: verdict.outcome for verdict in verdicts.verdicts}
    assert judged["within_one"] == "pass"
    assert judged["parity"] == "pass"


def test_report_speaks_of_the_new_score_when_written(grading: Project) -> None:
    page = (grading.folder / "reports" / "index.html").read_text()
    assert "Within one" in page
    assert "Each target" in page
    assert "The float network" not in page  # the task has no diagnosis
