"""The whole graph on digits, what a second run does, and what each kind of change makes stale."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.records.bundle import Bundle
from edgepress.records.measurement import Measurement
from edgepress.records.selection import Selection
from edgepress.records.verdict import Verdicts
from tests.pipeline.project import TARGETS, Project

pytestmark = pytest.mark.timeout(900)


def test_every_stage_leaves_its_metrics_when_the_graph_has_run(finished: Project) -> None:
    listed = finished.run("dvc", "stage", "list", "--name-only").stdout.split()
    written = {path.stem for path in (finished.folder / "metrics").glob("*.json")}
    assert written == {name.replace("@", "-") for name in listed}
    shown = json.loads(finished.run("dvc", "metrics", "show", "--json").stdout)
    accuracy = shown[""]["data"]["metrics/slim.json"]["data"]["test_accuracy"]
    assert accuracy > 0.7


def test_budget_is_met_exactly_when_curated(finished: Project) -> None:
    folder = finished.folder / "data" / "selection"
    selection = Selection.read(folder)
    keep = finished.params()["curate"]["keep"]
    assert len(selection.kept_ids(folder)) == selection.budget == round(keep * selection.rows)


def test_student_is_smaller_than_the_teacher_when_slimmed(finished: Project) -> None:
    sizes = [
        Bundle.read(finished.folder / "data" / name).parameters
        for name in ("teacher", "student", "slim")
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_measured_targets_carry_their_proof_when_validated(finished: Project) -> None:
    for key in TARGETS:
        folder = finished.folder / "data" / "measured" / key
        measurement, verdicts = Measurement.read(folder), Verdicts.read(folder)
        assert measurement.parity is not None
        if "coreml" in key:
            assert measurement.latency is None
            assert verdicts.outcome == "not-run"
        else:
            assert measurement.latency is not None
            assert measurement.accuracy is not None
            assert measurement.accuracy.images == 402
            assert verdicts.outcome != "not-run"


def test_registry_promotes_only_what_passed_when_registered(finished: Project) -> None:
    path = finished.folder / "data" / "registered" / "registered.json"
    targets = json.loads(path.read_text())["targets"]
    assert set(targets) == set(TARGETS)
    assert "champion" in targets["x86_64-onnxruntime-fp32"]["aliases"]
    for key, entry in targets.items():
        outcome = Verdicts.read(finished.folder / "data" / "measured" / key).outcome
        assert entry["outcome"] == outcome
        assert ("champion" in entry["aliases"]) == (outcome == "pass")


def test_report_is_one_file_without_addresses_when_written(finished: Project) -> None:
    page = (finished.folder / "reports" / "index.html").read_text()
    assert all(key in page for key in TARGETS)
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_nothing_runs_when_the_graph_is_run_again(finished: Project) -> None:
    started = time.monotonic()
    output = finished.repro()
    assert "Running stage" not in output
    assert "up to date" in output
    assert time.monotonic() - started < 60


@contextmanager
def _kept(path: Path) -> Iterator[Path]:
    """Put a file back, time stamps and all, so that the project is as it was."""
    copy = path.with_name(f"{path.name}.kept")
    shutil.copy2(path, copy)
    try:
        yield path
    finally:
        copy.replace(path)


EXPORTS = {f"export@{key}" for key in TARGETS}
VALIDATES = {f"validate@{key}" for key in TARGETS}
ONNX = {f"{stage}@{key}" for key in TARGETS[:2] for stage in ("export", "validate")}

CHANGED_CODE = {
    "edgepress/training/loop.py": {"embed", "train", "distill", "slim"},
    "edgepress/training/supervised.py": {"train"},
    "edgepress/distillation/logits.py": {"distill"},
    "edgepress/pruning/group_magnitude.py": {"slim"},
    "edgepress/quantization/ptq.py": {"quantize@int8"},
    "edgepress/export/onnx.py": {"export@" + key for key in TARGETS[:2]},
    "edgepress/export/coreml.py": {"export@apple-coreml-fp32"},
    "edgepress/runtimes/onnxruntime.py": VALIDATES & ONNX,
    "edgepress/devices/latency.py": VALIDATES,
    "edgepress/data/sources/digits.py": {"ingest"},
    "edgepress/data/sources/folder.py": set(),
    "edgepress/backbones/timm.py": set(),
    "stages/report.py": {"report"},
    "stages/tracking.py": {"register"},
}


@pytest.mark.parametrize("name", CHANGED_CODE)
def test_exactly_its_users_are_stale_when_code_changes(finished: Project, name: str) -> None:
    with _kept(finished.folder / name) as path:
        path.write_text(path.read_text() + "\n# changed\n")
        assert finished.stale() == CHANGED_CODE[name]


CHANGED_PARAMS: list[tuple[dict[str, Any], set[str]]] = [
    ({"train": {"recipe": {"epochs": 5}}}, {"train"}),
    ({"curate": {"keep": 0.8}}, {"curate"}),
    ({"quantize": {"int8": {"images": 33}}}, {"quantize@int8"}),
    ({"export": {"onnx": {"opset": 17}}}, EXPORTS & ONNX),
    ({"gates": {"max_size_mb": 4.0}}, VALIDATES),
    ({"check": {"min_side": 7}}, {"check"}),
]


@pytest.mark.parametrize(("change", "expected"), CHANGED_PARAMS)
def test_exactly_its_readers_are_stale_when_a_number_changes(
    finished: Project, change: dict[str, Any], expected: set[str]
) -> None:
    with _kept(finished.folder / "params.yaml"):
        finished.change(**change)
        assert finished.stale() == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data/source.json", {"ingest"}),
        ("data/encoder.json", {"embed"}),
        ("data/devices/onnx.json", ONNX),
        ("data/devices/coreml.json", {f"{s}@{TARGETS[2]}" for s in ("export", "validate")}),
    ],
)
def test_exactly_its_users_are_stale_when_data_tools_or_instruction_set_change(
    finished: Project, name: str, expected: set[str]
) -> None:
    with _kept(finished.folder / name) as path:
        path.write_text(path.read_text().replace("{", '{"changed": 1,', 1))
        assert finished.stale() == expected


def test_int8_alone_is_stale_when_a_calibration_image_changes(finished: Project) -> None:
    path = finished.folder / "data/quantized/int8/calibration/images.npy"
    mode = path.stat().st_mode
    path.chmod(0o644)
    with _kept(path):
        images = np.load(path)
        images[0] += 0.1
        np.save(path, images)
        assert finished.stale() == {
            "quantize@int8",  # its own output is not what it wrote
            "export@x86_64-onnxruntime-int8",
            "validate@x86_64-onnxruntime-int8",
        }
    path.chmod(mode)


def test_only_validate_report_and_register_run_when_a_gate_changes(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    project.change(gates={"max_size_mb": 0.001})
    output = project.repro()
    ran = {line.split("'")[1] for line in output.splitlines() if "Running stage" in line}
    assert ran == VALIDATES | {"report", "register"}
    for key in TARGETS:
        verdicts = Verdicts.read(project.folder / "data" / "measured" / key)
        assert verdicts.outcome == "fail"
    held = json.loads((project.folder / "data/registered/registered.json").read_text())
    entry = held["targets"]["x86_64-onnxruntime-fp32"]
    assert int(entry["version"]) == 2
    assert int(entry["aliases"]["champion"]) == 1
