"""The report stage on a finished run, on half a run, and on one with damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgepress.errors import UserError
from stages import report
from stages.lineage import Lock
from stages.stage import Stage


def go() -> str:
    stage = Stage("report")
    report.work(stage)
    stage.finish()
    return Path("reports/index.html").read_text(encoding="utf-8")


def test_page_and_cards_are_written_when_the_run_is_whole(finished: Path) -> None:
    page = go()
    cards = {path.stem for path in Path("reports/cards").iterdir()}
    assert cards == {
        "x86_64-onnxruntime-fp32",
        "x86_64-onnxruntime-int8",
        "jetson-tensorrt-fp32",
        "jetson-tensorrt-int8",
    }
    assert "Absent from this run" not in page
    assert page.count("data:image/png;base64,") == 32
    assert "complexity 0.42" in page
    metrics = json.loads(Path("metrics/report.json").read_text())
    assert (metrics["passed"], metrics["failed"], metrics["not_run"]) == (1, 1, 2)


def test_only_targets_of_params_are_shown_when_old_folders_lie_about(finished: Path) -> None:
    old = "x86_64-openvino-fp32"
    shutil.copytree("targets/measured/x86_64-onnxruntime-fp32", f"targets/measured/{old}")
    assert old not in go()


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("data/manifest", "Pictures: "),
        ("data/selection", "Kept and pruned images: the curate stage has not run"),
        ("models/student", "Model student: the distill stage has not run"),
        ("targets/measured/jetson-tensorrt-fp32", "validate has not run for jetson-tensorrt-fp32"),
    ],
)
def test_page_says_so_when_a_part_is_missing(finished: Path, folder: str, sentence: str) -> None:
    if folder == "data/manifest":
        shutil.rmtree("data/manifest/images")
    else:
        shutil.rmtree(folder)
    page = go()
    assert "Absent from this run" in page
    assert sentence in page


def test_page_is_written_when_nothing_has_run(finished: Path) -> None:
    shutil.rmtree("data")
    shutil.rmtree("metrics")
    Path("dvc.lock").unlink()
    assert "the ingest stage has not run" in go()


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("models/teacher/history.json", r"history.json: .*run the stage that writes it again"),
        ("metrics/train.json", r"train.json: not valid JSON"),
        ("targets/judged/jetson-tensorrt-fp32/verdicts.json", r"verdicts.json: "),
    ],
)
def test_file_is_named_when_it_is_damaged(finished: Path, path: str, match: str) -> None:
    Path(path).write_text('{"half')
    with pytest.raises(UserError, match=match):
        go()
    assert not Path("reports").exists()


def test_earlier_report_stays_when_a_later_one_fails(finished: Path) -> None:
    page = go()
    Path("metrics/train.json").write_text("broken")
    with pytest.raises(UserError):
        go()
    assert Path("reports/index.html").read_text(encoding="utf-8") == page


def test_lock_names_all_ancestors_when_asked_for_a_stage(finished: Path) -> None:
    found = Lock.read().ancestry("validate@x86_64-onnxruntime-fp32")
    assert set(found) == {
        "data/manifest",
        "data/selection",
        "models/teacher",
        "targets/exported/x86_64-onnxruntime-fp32",
        "targets/measured/x86_64-onnxruntime-fp32",
    }
