"""The same graph on keypoints: the outermost points of each digit of a canvas, in its own crop."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgepress.commands.preset import merge
from edgepress.data.images import ImageSet
from edgepress.params import parse_yaml
from edgepress.records.manifest import Manifest
from edgepress.records.measurement import Measurement
from edgepress.records.reference import Reference
from edgepress.records.verdict import Verdicts
from edgepress.sections import problems
from tests.pipeline.project import ONNX_TARGETS, Project, copy_project

pytestmark = pytest.mark.timeout(900)

POINTS = ("top", "right", "bottom", "left")
SETTINGS: dict[str, Any] = {
    "project": "digit_points",
    "task": {
        "method": "keypoints",
        "points": list(POINTS),
        "swaps": [["right", "left"]],
        "sigmas": 0.05,
        "tolerance": 0.2,
        "sure": 0.3,
        "form": "heatmap",
        "stride": 2,
        "blur": 1.0,
        "inside": {"margin": 0.25},
    },
    "ingest": {
        "source": {"method": "digit_scenes", "scenes": 200, "side": 48, "least": 1, "most": 3}
    },
    "check": {"min_side": 4, "min_per_class": {"train": 5, "val": 1, "test": 3}},
    "input": {"height": 32, "width": 32},
    "curate": {"concepts": 4},
    "train": {
        "backbone": {"depth": 8, "width": 8},
        "head": {"method": "heatmap", "width": 12},
        "recipe": {"epochs": 8, "batch": 16, "learning_rate": 0.05, "augment": "shift"},
    },
    "distill": {
        "backbone": {"width": 8},
        "head": {"method": "heatmap", "width": 8},
        "recipe": {
            "epochs": 8,
            "batch": 16,
            "learning_rate": 0.05,
            "temperature": 1.0,
            "weight": 0.5,
            "augment": "shift",
        },
    },
    "slim": {"batch": 16, "epochs": 2},
    "validate": {"runs": 500},
    "places": ["x86_64-onnxruntime"],
    "gates": {
        "max_drop": 0.1,
        "min_score": {"pck": 0.5, "mean_error": 0.4},
        "min_class_score": 0.3,
    },
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of single digits whose whole graph has been run once."""
    project = copy_project(tmp_path_factory.mktemp("digit_points"))
    project.change(**SETTINGS)
    project.run_all()
    return project


def test_every_model_finds_the_points_when_the_graph_has_run(digits: Project) -> None:
    for name in ("train", "distill", "slim"):
        metrics = json.loads((digits.folder / "metrics" / f"{name}.json").read_text())
        assert metrics["scores"]["test"]["pck"] > 0.8


def test_digits_are_counted_by_class_when_ingested(digits: Project) -> None:
    manifest = Manifest.read(digits.folder / "data" / "manifest")
    assert manifest.items == {split: sum(per.values()) for split, per in manifest.counts.items()}
    assert set(manifest.counts["test"]) == set("0123456789")


def test_digits_of_a_canvas_are_items_of_their_own_in_every_record(digits: Project) -> None:
    images = ImageSet.open(digits.folder / "data" / "manifest", "test")
    assert images.groups is not None
    canvases = [name.partition("#")[0] for name in images.ids]
    assert len(set(canvases)) == images.groups.max() + 1 < len(images)
    reference = Reference.open(digits.folder / "models/quantized/int8/reference", "")
    assert list(reference.ids) == images.ids
    assert reference.groups is not None
    assert reference.groups.tolist() == images.groups.tolist()
    sizes = {crop.size for crop in images.crops if crop is not None}
    assert len(sizes) > 10
    assert max(max(size) for size in sizes) < 48


def test_measured_targets_carry_their_proof_when_validated(digits: Project) -> None:
    for key in ONNX_TARGETS:
        measurement = Measurement.read(digits.folder / "targets" / "measured" / key)
        assert measurement.parity is not None
        assert [output.name for output in measurement.parity.outputs] == ["heatmaps"]
        assert measurement.score is not None
        assert measurement.score.name == "pck"
        assert measurement.score.constant is not None
        assert measurement.score.constant < measurement.score.value.low
        assert measurement.score.items == measurement.parity.items
        assert [score.of for score in measurement.scores if score.of] == list(POINTS)
        assert set(measurement.not_run) <= {"latency", "speedup"}


def test_answers_of_int8_are_the_floats_but_for_little_when_judged(digits: Project) -> None:
    for key in ONNX_TARGETS:
        verdicts = Verdicts.read(digits.folder / "targets" / "judged" / key).verdicts
        said = {verdict.gate: verdict.outcome for verdict in verdicts}
        assert {said[gate] for gate in ("parity", "agreement", "drop")} == {"pass"}, verdicts
        assert {said[gate] for gate in ("pck", "mean_error", "pck_above_constant")} == {"pass"}


def test_registry_promotes_only_what_passed_when_registered(digits: Project) -> None:
    path = digits.folder / "targets" / "registered" / "registered.json"
    targets = json.loads(path.read_text())["targets"]
    assert set(targets) == set(ONNX_TARGETS)
    for key, entry in targets.items():
        outcome = Verdicts.read(digits.folder / "targets" / "judged" / key).outcome
        assert entry["outcome"] == outcome
        assert ("champion" in entry["aliases"]) == (outcome == "pass")


def test_report_speaks_of_points_when_written(digits: Project) -> None:
    page = (digits.folder / "reports" / "index.html").read_text()
    assert "4 of 4 points, surest" in page
    assert "label: 4 of 4 points" in page
    assert "pck" in page.lower()
    assert "Points within a tolerance" in page
    assert "top-1" not in page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": {"head": {"method": "simcc", "kernel": 1}}}, ["head simcc", "heatmaps"]),
        ({"task": {"swaps": [["right", "lefft"]]}}, ["task", "'lefft'", "did you mean left?"]),
        ({"gates": {"min_score": {"pcks": 0.5}}}, ["gates.min_score", "did you mean pck?"]),
        ({"task": {"form": "bins"}}, ["task.form", "heatmap", "simcc"]),
    ],
)
def test_params_are_refused_in_one_line_when_they_do_not_fit_the_task(
    digits: Project, change: dict[str, Any], words: list[str]
) -> None:
    text = merge((digits.folder / "params.yaml").read_text(), change, "test")
    (line,) = problems(parse_yaml(text), "params.yaml")
    assert "\n" not in line
    assert all(word in line for word in words), line
