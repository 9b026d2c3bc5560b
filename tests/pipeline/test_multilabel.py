"""The same graph with several classes an image: drawn shapes and a table, to a champion."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.records.manifest import Manifest
from edgepress.records.measurement import Measurement
from edgepress.records.verdict import Verdicts
from tests.pipeline.project import ONNX_TARGETS, Project, copy_project

pytestmark = pytest.mark.timeout(900)

SHAPES: dict[str, Any] = {
    "project": "shapes",
    "task": {
        "method": "multilabel",
        "labels": "classes",
        "threshold": 0.5,
        "focus_positive": 0.0,
        "focus_negative": 1.0,
        "margin": 0.0,
    },
    "ingest": {
        "source": {
            "method": "table",
            "path": "data/shapes",
            "table": "data/shapes.csv",
            "image": "picture",
            "suffix": ".png",
            "label": "seen",
            "several": True,
            "separator": " ",
            "empty_is_none": True,
            "split": None,
            "classes": None,
        },
        "split": {"val": 0.15, "test": 0.35},
    },
    "input": {"height": 32, "width": 32, "channels": 1, "mean": [0.3], "std": [0.25]},
    "train": {
        "backbone": {"depth": 8, "width": 12},
        "recipe": {"epochs": 14, "batch": 16, "learning_rate": 0.05},
    },
    "distill": {
        "backbone": {"width": 8},
        "recipe": {"epochs": 14, "batch": 16, "learning_rate": 0.05, "temperature": 1.0},
    },
    "slim": {"batch": 16, "epochs": 4},
    "validate": {"runs": 600},
    "places": ["x86_64-onnxruntime"],
    "gates": {
        "min_score": {
            "mean_ap": 0.6,
            "micro_f1": 0.5,
            "calibration_error": 0.4,
        },
        "min_agreement": {"fp32": 0.999, "int8": 0.8},
    },
}


def draw_shapes(folder: Path, table: Path, count: int) -> None:
    """Write pictures that hold a ring, a bar and a square, each or not, and the table of which."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    folder.mkdir(parents=True)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "weather", "seen"])
        for index in range(count):
            picture = rng.integers(0, 60, (32, 32))
            seen = [name for name in ("square", "ring", "bar") if rng.random() < 0.45]
            if "ring" in seen:
                row, column = rng.integers(8, 24, 2)
                far = (rows - row) ** 2 + (columns - column) ** 2
                picture[(far > 16) & (far < 49)] = 160
            if "bar" in seen:
                picture[rng.integers(2, 28) :][:3, 3:29] = 110
            if "square" in seen:
                row, column = rng.integers(0, 24, 2)
                picture[row : row + 8, column : column + 8] = 220
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"{index:03}.png")
            writer.writerow([f"{index:03}", "fair, then rain", " ".join(seen)])
        writer.writerow(["lost", "fair", "ring"])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of shapes whose whole graph has been run once."""
    project = copy_project(tmp_path_factory.mktemp("shapes"))
    draw_shapes(project.folder / "data/shapes", project.folder / "data/shapes.csv", 240)
    project.change(**SHAPES)
    project.run_all()
    return project


def test_labels_are_those_of_the_table_when_ingested(shapes: Project) -> None:
    manifest = Manifest.read(shapes.folder / "data" / "manifest")
    assert manifest.classes == ("bar", "ring", "square")
    assert manifest.usable == 240
    assert manifest.quarantined == {"no image": 1}
    with (shapes.folder / "data" / "shapes.csv").open(newline="") as file:
        rows = [row["seen"].split() for row in csv.DictReader(file)][:-1]  # the last is lost
    for name in manifest.classes:
        held = sum(per[name] for per in manifest.counts.values())
        assert held == sum(name in seen for seen in rows)
    assert [] in rows


def test_every_model_scores_when_the_graph_has_run(shapes: Project) -> None:
    for name in ("train", "distill", "slim"):
        metrics = json.loads((shapes.folder / "metrics" / f"{name}.json").read_text())
        found = metrics["scores"]["test"]
        assert list(found)[0] == "mean_ap"
        assert found["mean_ap"] > 0.8


def test_target_is_judged_by_the_new_scores_with_proof_when_measured(shapes: Project) -> None:
    for key in ONNX_TARGETS:
        measurement = Measurement.read(shapes.folder / "targets" / "measured" / key)
        assert measurement.parity is not None
        score = measurement.score
        assert score is not None
        assert score.name == "mean_ap"
        assert score.drop is not None
        assert score.items == measurement.parity.items
        assert score.constant is not None
        assert score.value.low > score.constant
        assert set(measurement.not_run) <= {"latency", "speedup"}
        verdicts = Verdicts.read(shapes.folder / "targets" / "judged" / key)
        judged = {verdict.gate: verdict.outcome for verdict in verdicts.verdicts}
        for gate in ("parity", "agreement", "mean_ap", "micro_f1", "calibration_error"):
            assert judged[gate] == "pass", verdicts


def test_registry_promotes_only_what_passed_when_registered(shapes: Project) -> None:
    path = shapes.folder / "targets" / "registered" / "registered.json"
    targets = json.loads(path.read_text())["targets"]
    assert set(targets) == set(ONNX_TARGETS)
    for key, entry in targets.items():
        outcome = Verdicts.read(shapes.folder / "targets" / "judged" / key).outcome
        assert entry["outcome"] == outcome
        assert ("champion" in entry["aliases"]) == (outcome == "pass")


def test_report_speaks_of_the_scores_when_written(shapes: Project) -> None:
    page = (shapes.folder / "reports" / "index.html").read_text()
    assert "Mean ap" in page or "Mean AP" in page
    assert "Precision and recall" in page
    assert "top-1" not in page
    assert all(key in page for key in ONNX_TARGETS)


def test_ingest_alone_is_stale_when_the_table_changes(shapes: Project) -> None:
    table = shapes.folder / "data" / "shapes.csv"
    kept = table.read_bytes()
    try:
        table.write_bytes(kept.replace(b"lost", b"gone"))
        assert shapes.stale() == {"ingest"}
    finally:
        table.write_bytes(kept)
