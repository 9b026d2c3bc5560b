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
from tests.pipeline.project import COREML_TARGETS, ONNX_TARGETS, TARGETS, Project

pytestmark = pytest.mark.timeout(900)


def test_every_stage_leaves_its_metrics_when_the_graph_has_run(finished: Project) -> None:
    listed = finished.run("dvc", "stage", "list", "--name-only").stdout.split()
    written = {path.stem for path in (finished.folder / "metrics").glob("*.json")}
    assert written == {name.replace("@", "-") for name in listed} - {"state"}
    shown = json.loads(finished.run("dvc", "metrics", "show", "--json").stdout)
    scores = shown[""]["data"]["metrics/slim.json"]["data"]["scores"]
    assert scores["test"]["accuracy"] > 0.7


def test_budget_is_met_exactly_when_curated(finished: Project) -> None:
    folder = finished.folder / "data" / "selection"
    selection = Selection.read(folder)
    keep = finished.params()["curate"]["keep"]
    assert len(selection.kept_ids(folder)) == selection.budget == round(keep * selection.rows)


def test_student_is_smaller_than_the_teacher_when_slimmed(finished: Project) -> None:
    sizes = [
        Bundle.read(finished.folder / "models" / name).parameters
        for name in ("teacher", "student", "slim")
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_measured_targets_carry_their_proof_when_validated(finished: Project) -> None:
    for key in TARGETS:
        measurement = Measurement.read(finished.folder / "targets" / "measured" / key)
        verdicts = Verdicts.read(finished.folder / "targets" / "judged" / key)
        assert measurement.parity is not None
        if "coreml" in key:
            assert measurement.latency is None
            assert verdicts.outcome == "not-run"
        else:
            assert measurement.score is not None
            assert measurement.score.items == 402
            # A latency may be refused while other work shares the machine; nothing else may.
            assert set(measurement.not_run) <= {"latency", "speedup"}


def test_registry_promotes_only_what_passed_when_registered(finished: Project) -> None:
    path = finished.folder / "targets" / "registered" / "registered.json"
    targets = json.loads(path.read_text())["targets"]
    assert set(targets) == set(TARGETS)
    for key, entry in targets.items():
        outcome = Verdicts.read(finished.folder / "targets" / "judged" / key).outcome
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
    ran = [line for line in output.splitlines() if "Running stage" in line]
    assert [line.split("'")[1] for line in ran] == ["state"]
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


ONNX_EXPORTS = {f"export@{key}" for key in ONNX_TARGETS}
COREML_EXPORTS = {f"export@{key}" for key in COREML_TARGETS}
VALIDATES = {f"validate@{key}" for key in TARGETS}

CHANGED_CODE = {
    "edgepress/training/loop.py": {"embed", "train", "distill", "slim"},
    "edgepress/training/supervised.py": {"train"},
    "edgepress/distillation/logits.py": {"distill"},
    "edgepress/pruning/group_magnitude.py": {"slim"},
    "edgepress/quantization/ptq.py": {"quantize@int8"},
    "edgepress/export/onnx.py": ONNX_EXPORTS,
    "edgepress/export/coreml.py": COREML_EXPORTS,
    "edgepress/runtimes/onnxruntime.py": ONNX_EXPORTS | {f"validate@{key}" for key in ONNX_TARGETS},
    "edgepress/validation/latency.py": VALIDATES,
    "edgepress/validation/gates.py": {"check", "judge", "report", "register"},
    "edgepress/data/sources/digits.py": {"ingest"},
    "edgepress/data/sources/folder.py": set(),
    "edgepress/heads/unet.py": set(),
    "edgepress/tasks/segmentation/answers.py": set(),
    "stages/report.py": {"report"},
    "stages/tracking.py": {"register"},
}


@pytest.mark.parametrize("name", CHANGED_CODE)
def test_exactly_its_users_are_stale_when_code_changes(finished: Project, name: str) -> None:
    with _kept(finished.folder / name) as path:
        path.write_text(path.read_text() + "\nCHANGED = 1\n")
        assert finished.stale() == CHANGED_CODE[name]


def test_nothing_is_stale_when_the_code_is_as_it_was(finished: Project) -> None:
    assert finished.stale() == set()


def test_nothing_is_stale_when_comments_and_docstrings_alone_change(finished: Project) -> None:
    with _kept(finished.folder / "edgepress/training/loop.py") as path:
        path.write_text("# A comment.\n" + path.read_text().replace('"""', '"""Said anew. ', 1))
        assert finished.stale() == set()


CHANGED_PARAMS: list[tuple[dict[str, Any], set[str]]] = [
    ({"train": {"recipe": {"epochs": 5}}}, {"train"}),
    ({"curate": {"keep": 0.8}}, {"curate"}),
    ({"quantize": {"int8": {"images": 33}}}, {"quantize@int8"}),
    ({"export": {"onnx": {"opset": 17}}}, ONNX_EXPORTS),
    ({"gates": {"min_speedup": 1.5}}, {"check", "judge"}),
    ({"budgets": {"default": {"max_size_mb": 4.0}}}, {"judge"}),
    ({"check": {"min_side": 7}}, {"check"}),
]


@pytest.mark.parametrize(("change", "expected"), CHANGED_PARAMS)
def test_exactly_its_readers_are_stale_when_a_number_changes(
    finished: Project, change: dict[str, Any], expected: set[str]
) -> None:
    with _kept(finished.folder / "params.yaml"):
        finished.change(**change)
        assert finished.stale() == expected


def test_ingest_alone_is_stale_when_the_users_files_change(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    picture = project.folder / "pictures" / "cat" / "1.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"one")
    project.change(ingest={"source": {"method": "folder", "path": "pictures"}})
    assert project.stale() == {"ingest"}
    state = project.folder / "state" / "ingest.json"
    before = state.read_bytes()
    picture.write_bytes(b"another")
    assert project.stale() == {"ingest"}
    assert state.read_bytes() != before


def test_no_fp32_is_stale_when_a_calibration_image_changes(finished: Project) -> None:
    path = finished.folder / "models/quantized/int8/calibration/images.npy"
    mode = path.stat().st_mode
    path.chmod(0o644)
    with _kept(path):
        images = np.load(path)
        images[0] ^= 1
        np.save(path, images)
        int8 = {f"{stage}@{key}" for stage in ("export", "validate") for key in TARGETS[1::2]}
        # Its own output is not what quantize wrote; the report and the registry read it too.
        assert finished.stale() == {"quantize@int8", "report", "register", *int8}
    path.chmod(mode)


def test_nothing_is_measured_again_when_a_bound_changes(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    project.change(budgets={"default": {"max_size_mb": 0.001}})
    output = project.repro()
    ran = {line.split("'")[1] for line in output.splitlines() if "Running stage" in line}
    assert ran == {"state", "judge", "report", "register"}
    for key in TARGETS:
        assert Verdicts.read(project.folder / "targets" / "judged" / key).outcome == "fail"
    held = json.loads((project.folder / "targets/registered/registered.json").read_text())
    for key in TARGETS:
        assert int(held["targets"][key]["version"]) == 1
        assert held["targets"][key]["outcome"] == "fail"
