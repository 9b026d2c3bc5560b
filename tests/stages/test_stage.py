from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config
from stages import stage as frame
from stages.stage import Stage, main


class Section(Config):
    """A section."""

    epochs: int = Field(gt=0)
    """Passes."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("seed: 3\ntrain: {epochs: 2}\nbad: {epochs: 0}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    work: Callable[[Stage], None], monkeypatch: pytest.MonkeyPatch, *argv: str, keyed: bool = False
) -> int:
    monkeypatch.setattr(sys, "argv", ["stage", *argv])
    try:
        main("train", work, keyed=keyed)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_stage_reads_its_section_and_seed_when_they_are_there(project: Path) -> None:
    assert Stage("train").section(Section, "train").epochs == 2
    assert Stage("train").seed == 3


def test_output_appears_whole_when_the_block_ends(project: Path) -> None:
    stage = Stage("train")
    with stage.output(Path("data/teacher")) as folder:
        folder.mkdir()
        (folder / "a").write_text("new")
        assert not Path("data/teacher").exists()
    assert Path("data/teacher/a").read_text() == "new"
    assert [path.name for path in Path("data").iterdir()] == ["teacher"]


def test_output_keeps_the_old_one_when_the_block_fails(project: Path) -> None:
    stage = Stage("train")
    Path("data/teacher").mkdir(parents=True)
    Path("data/teacher/old").touch()

    def fail() -> None:
        with stage.output(Path("data/teacher")) as folder:
            folder.mkdir()
            (folder / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in Path("data").rglob("*")] == ["teacher", "old"]


def test_output_starts_empty_when_an_earlier_run_was_killed(project: Path) -> None:
    left = Path("data/.teacher.partial")
    left.mkdir(parents=True)
    (left / "half").touch()
    with Stage("train").output(Path("data/teacher")) as folder:
        folder.mkdir()
    assert list(Path("data").rglob("*")) == [Path("data/teacher")]


def test_main_writes_metrics_with_the_cost_when_the_work_ends(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(stage: Stage) -> None:
        stage.metrics(accuracy=0.5)

    assert run(work, monkeypatch, "int8", keyed=True) == 0
    metrics = json.loads(Path("metrics/train-int8.json").read_text())
    assert metrics["accuracy"] == 0.5
    assert metrics["cost"]["seconds"] >= 0
    assert metrics["cost"]["peak_memory_mb"] > 1


def test_main_prints_one_line_and_exits_2_when_the_user_can_mend_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(stage: Stage) -> None:
        stage.section(Section, "bad")

    assert run(work, monkeypatch, "int8", keyed=True) == 2
    line = capsys.readouterr().err
    assert line.startswith("train@int8: params.yaml: bad.epochs: ")
    assert line.count("\n") == 1
    assert not Path("metrics").exists()


def test_second_run_is_refused_and_the_output_whole_when_a_stage_runs_already(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(stage: Stage, text: str) -> None:
        with stage.output(Path("data/out.txt")) as file:
            file.write_text(text)

    def first(stage: Stage) -> None:
        with stage.output(Path("data/out.txt")) as file:
            file.write_text("fir")
            assert run(lambda again: write(again, "second"), monkeypatch) == 2
            line = capsys.readouterr().err
            assert "train: this stage runs here already" in line
            assert line.count("\n") == 1
            assert run(lambda other: None, monkeypatch, "int8", keyed=True) == 0
            file.write_text("first")

    assert run(first, monkeypatch) == 0
    assert Path("data/out.txt").read_text() == "first"
    assert run(lambda stage: write(stage, "third"), monkeypatch) == 0
    assert Path("data/out.txt").read_text() == "third"


@pytest.mark.parametrize(("number", "words"), [(28, "no space"), (30, "read-only"), (13, "denied")])
def test_main_says_what_to_do_when_the_disk_refuses(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    words: str,
) -> None:
    def work(stage: Stage) -> None:
        raise OSError(number, "?", "data/teacher")

    assert run(work, monkeypatch) == 2
    line = capsys.readouterr().err
    assert words in line
    assert "data/teacher" in line


def test_main_lets_our_own_bugs_through_when_they_happen(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(stage: Stage) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(work, monkeypatch)


@pytest.mark.parametrize(("argv", "keyed"), [(["x"], False), ([], True), (["a", "b"], True)])
def test_main_shows_its_usage_when_the_arguments_do_not_fit(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    keyed: bool,
) -> None:
    assert run(lambda stage: None, monkeypatch, *argv, keyed=keyed) == 2
    assert "usage: python -m stages.train" in capsys.readouterr().err


def test_seed_is_refused_when_it_is_not_a_whole_number(project: Path) -> None:
    for value in ("-1", "true", "1.5", "x"):
        Path("params.yaml").write_text(f"seed: {value}\n")
        with pytest.raises(UserError, match="seed: expected an integer"):
            _ = Stage("train").seed


def test_output_is_whole_when_the_process_is_killed_while_writing(project: Path) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom stages.stage import Stage\n"
        "with Stage('train').output(Path('data/teacher')) as folder:\n"
        "    folder.mkdir(); (folder / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert not Path("data/teacher").exists()
    with Stage("train").output(Path("data/teacher")) as folder:
        folder.mkdir()
    assert list(Path("data").rglob("*")) == [Path("data/teacher")]


def test_frame_names_the_file_every_stage_reads() -> None:
    assert Path("params.yaml") == frame.PARAMS
