"""The report stage on a finished run, on half a run, and on one with damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.bundle import Bundle
from edgepress.records.changed import Changed, OpenChanged
from edgepress.records.diagnosis import Diagnosed
from edgepress.records.quantized import BUNDLE, REFERENCE, Quantized, Recipe
from edgepress.records.reference import OpenReference, Reference
from stages import report
from stages.lineage import Lock
from stages.stage import Stage
from tests.classified import open_task


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


@pytest.fixture
def answered(finished: Path) -> Path:
    """The run with the float network's answers, and what validate kept of the INT8 export's."""
    images = ImageSet.open(Path("data/manifest"), "test")
    label = np.asarray(images.strata)
    sure = {"label": label, "confidence": np.full(len(label), 0.9, np.float32)}
    wrong = {"label": label[:2] * 0 + 1, "confidence": np.float32([0.51, 0.52])}
    task = open_task(images.classes)
    for precision in ("fp32", "int8"):
        folder = Path("models/quantized") / precision
        bundle = Bundle.read(Path("models/slim"))
        bundle.model_copy(update={"classes": images.classes}).write(folder / BUNDLE)
        held = OpenReference(tuple(images.ids), {"label": label}, sure, (), {}, "b" * 64)
        Reference.create(folder / REFERENCE, held)
        Quantized(
            precision=precision,
            method="none",
            recipe=Recipe(weights="float32", activations="float32", per_channel=False),
            bundle_sha256="b" * 64,
            calibration_sha256=None,
            reference_sha256="c" * 64,
        ).write(folder)
    told = task.diagnosis(sure, {"label": label})
    for key, changed in (("fp32", 0), ("int8", 2)):
        folder = Path(f"targets/measured/x86_64-onnxruntime-{key}")
        Diagnosed(ours=told, floats=told).write(folder)
        kept = {name: values[:changed] for name, values in wrong.items()}
        Changed.create(folder, OpenChanged(tuple(images.ids[:changed]), (0.0,) * changed, kept))
    return finished


def test_changed_answers_stand_beside_the_truth_when_validate_kept_them(answered: Path) -> None:
    page = go()
    first = ImageSet.open(Path("data/manifest"), "test")
    name = first.classes[first.strata[0]]
    for words in (f"label: {name}<", f"float: {name} 90%<", f"int8: {first.classes[1]} 51%<"):
        assert words in page
    # 32 of concepts, 12 of the float network and 2 changed: no picture twice for words alone.
    assert page.count("data:image/png;base64,") == 32 + 12 + 2
    assert "in test, images" in Path("reports/cards/x86_64-onnxruntime-int8.md").read_text()


def test_answers_are_refused_when_they_are_not_those_of_the_reference(answered: Path) -> None:
    folder = Path("targets/measured/x86_64-onnxruntime-int8")
    record = Changed.read(folder)
    record.model_copy(update={"ids": ("strange", "other")}).write(folder)
    with pytest.raises(UserError, match=r"strange is none of the test items of .*validate it"):
        go()


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
