"""The same graph on boxes: digits to find on canvases, from drawn scenes to a champion."""

from __future__ import annotations

import json

import pytest

from edgepress.records.changed import Changed
from edgepress.records.measurement import Measurement
from edgepress.records.verdict import Verdicts
from tests.pipeline.project import ONNX_TARGETS, Project, copy_scenes

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of scenes whose whole graph has been run once."""
    project = copy_scenes(tmp_path_factory.mktemp("scenes"))
    project.run_all()
    return project


def test_every_model_finds_digits_when_the_graph_has_run(scenes: Project) -> None:
    for name in ("train", "distill", "slim"):
        metrics = json.loads((scenes.folder / "metrics" / f"{name}.json").read_text())
        assert metrics["scores"]["test"]["mean_ap_50"] > 0.3


def test_measured_targets_carry_their_proof_when_validated(scenes: Project) -> None:
    for key in ONNX_TARGETS:
        measurement = Measurement.read(scenes.folder / "targets" / "measured" / key)
        assert measurement.parity is not None
        assert {each.name for each in measurement.parity.outputs} == {
            "boxes_4",
            "scores_4",
            "boxes_8",
            "scores_8",
        }
        assert measurement.score is not None
        assert measurement.score.name == "mean_ap"
        assert measurement.score.items == measurement.parity.items


def test_registry_promotes_only_what_passed_when_registered(scenes: Project) -> None:
    path = scenes.folder / "targets" / "registered" / "registered.json"
    targets = json.loads(path.read_text())["targets"]
    assert set(targets) == set(ONNX_TARGETS)
    for key, entry in targets.items():
        outcome = Verdicts.read(scenes.folder / "targets" / "judged" / key).outcome
        assert entry["outcome"] == outcome
        assert ("champion" in entry["aliases"]) == (outcome == "pass")


def test_report_speaks_of_boxes_when_written(scenes: Project) -> None:
    page = (scenes.folder / "reports" / "index.html").read_text()
    assert "Mean AP" in page
    assert "top-1" not in page
    for words in ("Precision and recall at an overlap of 0.5", "answered as background"):
        assert words in page
        assert page.count(words) > 1  # of the float network and of an export


def test_card_names_classes_and_confusions_when_written(scenes: Project) -> None:
    card = (scenes.folder / "reports" / "cards" / f"{ONNX_TARGETS[1]}.md").read_text()
    assert "| class | in test, objects | AP | AP 50 | Right | Missed | False |" in card
    assert "answered as background: " in card
    changed = Changed.open(scenes.folder / "targets" / "measured" / ONNX_TARGETS[1])
    page = (scenes.folder / "reports" / "index.html").read_text()
    assert changed.ids
    assert all(name in page for name in changed.ids)
