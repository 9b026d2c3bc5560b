"""The same graph on another task: discs to segment, from drawn files to a champion."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from edgepress.commands.preset import merge
from edgepress.params import parse_yaml
from edgepress.records.manifest import Manifest
from edgepress.records.measurement import Measurement
from edgepress.records.record import sha256_folder
from edgepress.records.verdict import Verdicts
from edgepress.sections import problems
from tests.pipeline.project import ONNX_TARGETS, Project, copy_discs, kill

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of discs whose whole graph has been run once."""
    project = copy_discs(tmp_path_factory.mktemp("discs"))
    project.run_all()
    return project


def test_every_model_segments_when_the_graph_has_run(discs: Project) -> None:
    for name in ("train", "distill", "slim"):
        metrics = json.loads((discs.folder / "metrics" / f"{name}.json").read_text())
        assert metrics["scores"]["test"]["mean_iou"] > 0.8


def test_measured_targets_carry_their_proof_when_validated(discs: Project) -> None:
    for key in ONNX_TARGETS:
        measurement = Measurement.read(discs.folder / "targets" / "measured" / key)
        assert measurement.parity is not None
        assert measurement.score is not None
        assert measurement.score.name == "mean_iou"
        assert measurement.score.items == measurement.parity.items
        assert set(measurement.not_run) <= {"latency", "speedup"}


def test_registry_promotes_only_what_passed_when_registered(discs: Project) -> None:
    path = discs.folder / "targets" / "registered" / "registered.json"
    targets = json.loads(path.read_text())["targets"]
    assert set(targets) == set(ONNX_TARGETS)
    for key, entry in targets.items():
        outcome = Verdicts.read(discs.folder / "targets" / "judged" / key).outcome
        assert entry["outcome"] == outcome
        assert ("champion" in entry["aliases"]) == (outcome == "pass")


def test_report_speaks_of_masks_when_written(discs: Project) -> None:
    page = (discs.folder / "reports" / "index.html").read_text()
    assert "mean IoU" in page
    assert "disc answered as background: " in page
    assert "top-1" not in page
    assert all(key in page for key in ONNX_TARGETS)


def test_nothing_runs_when_the_graph_is_run_again(discs: Project) -> None:
    output = discs.repro()
    ran = [line.split("'")[1] for line in output.splitlines() if "Running stage" in line]
    assert ran == ["state"]


EXPORTS = {f"export@{key}" for key in ONNX_TARGETS}
DEPLOYED = {"quantize@fp32", "quantize@int8", *EXPORTS}
CHANGED_CODE = {
    # What is exported may end in the task's last step, so the exports depend on it too.
    "edgepress/tasks/segmentation/training.py": {"train", "distill", "slim", *DEPLOYED},
    "edgepress/tasks/segmentation/pictures.py": {"report"},
    "edgepress/tasks/classification/answers.py": set(),
    "edgepress/heads/linear.py": set(),
    "edgepress/data/sources/masks.py": {"ingest"},
}


@pytest.mark.parametrize("name", CHANGED_CODE)
def test_exactly_its_users_are_stale_when_code_changes(discs: Project, name: str) -> None:
    path = discs.folder / name
    kept = path.read_text()
    try:
        path.write_text(kept + "\nCHANGED = 1\n")
        assert discs.stale() == CHANGED_CODE[name]
    finally:
        path.write_text(kept)


def test_nothing_is_stale_when_the_code_is_as_it_was(discs: Project) -> None:
    assert discs.stale() == set()


def test_ingest_alone_is_stale_when_a_mask_changes(discs: Project, tmp_path: Path) -> None:
    project = discs.copy(tmp_path / "project")
    mask = sorted((project.folder / "data" / "discs" / "masks").iterdir())[0]
    Image.new("L", (32, 32), 1).save(mask)
    assert project.stale() == {"ingest"}


def test_teacher_is_the_same_when_training_was_killed_and_resumed(
    discs: Project, tmp_path: Path
) -> None:
    project = discs.copy(tmp_path / "project")
    project.change(train={"recipe": {"epochs": 30}})
    project.repro("train")
    teacher = project.folder / "models" / "teacher"
    expected = sha256_folder(teacher)
    shutil.rmtree(teacher)
    training = project.start("python", "-m", "stages.train")
    project.await_checkpoint(training)
    kill(training)
    resumed = project.run("python", "-m", "stages.train")
    assert resumed.returncode == 0, resumed.stderr
    assert sha256_folder(teacher) == expected


def test_bad_masks_are_quarantined_and_counted_when_some_are_wrong(
    discs: Project, tmp_path: Path
) -> None:
    project = discs.copy(tmp_path / "project")
    masks = sorted((project.folder / "data" / "discs" / "masks").iterdir())
    masks[0].unlink()
    Image.new("L", (31, 32), 1).save(masks[1])
    masks[2].write_bytes(b"no picture")
    done = project.run("python", "-m", "stages.ingest")
    assert done.returncode == 0, done.stderr
    manifest = Manifest.read(project.folder / "data" / "manifest")
    assert sum(manifest.quarantined.values()) == 3
    assert manifest.usable == 117


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": {"head": {"method": "linear"}}}, ["train.head", "another head"]),
        ({"gates": {"min_score": {"mean_iou": 2.0}}}, ["gates.min_score.mean_iou", "2.0"]),
        ({"ingest": {"source": {"classes": ["disc"]}}}, ["ingest.source", "disc"]),
        ({"task": {"ignore_index": 300}}, ["task.ignore_index", "300"]),
    ],
)
def test_params_are_refused_in_one_line_when_they_do_not_fit_the_task(
    discs: Project, change: dict[str, object], words: list[str]
) -> None:
    text = merge((discs.folder / "params.yaml").read_text(), change, "test")
    (line,) = problems(parse_yaml(text), "params.yaml")
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_nothing_is_half_written_when_no_mask_is_there(discs: Project, tmp_path: Path) -> None:
    project = discs.copy(tmp_path / "project")
    shutil.rmtree(project.folder / "data" / "discs" / "masks")
    before = sha256_folder(project.folder / "data" / "manifest")
    done = project.run("python", "-m", "stages.ingest")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "data/discs/masks" in done.stderr
    assert sha256_folder(project.folder / "data" / "manifest") == before
