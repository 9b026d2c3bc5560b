"""A run that is killed ends, run again, with the very bytes of a run that was not."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from edgepress.records.record import sha256_folder
from tests.pipeline.project import Project, kill

pytestmark = pytest.mark.timeout(900)


def _outputs(project: Project, *names: str) -> dict[str, str]:
    return {name: sha256_folder(project.folder / name) for name in names}


def _runs(project: Project, module: str) -> bool:
    """Tell whether a process of this module works in the project."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if module.encode() in words and (place / "cwd").resolve() == project.folder.resolve():
                return True
    return False


def _partials(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for top in ("data", "models")
        for path in (folder / top).rglob(".*.partial")
    )


@pytest.fixture(scope="module")
def project(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Everything up to the slimmed student, with a teacher that takes some seconds."""
    project = finished.copy(tmp_path_factory.mktemp("killed") / "project")
    recipe = {"epochs": 30, "augment": "shift"}
    project.change(train={"backbone": {"width": 16}, "recipe": recipe})
    project.repro("slim")
    return project


def test_teacher_is_the_same_when_training_was_killed_and_resumed(project: Project) -> None:
    expected = _outputs(project, "models/teacher")
    subprocess.run(["rm", "-rf", str(project.folder / "models" / "teacher")], check=True)
    training = project.start("python", "-m", "stages.train")
    state = project.folder / ".edgepress" / "checkpoints"
    project.await_checkpoint(training)
    kill(training)
    assert not (project.folder / "models" / "teacher").exists()
    resumed = project.run("python", "-m", "stages.train")
    assert resumed.returncode == 0, resumed.stderr
    assert _outputs(project, "models/teacher") == expected
    assert not list(state.glob("train-*"))


@pytest.fixture(scope="module")
def spread(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with two workers for the teacher."""
    spread = project.copy(tmp_path_factory.mktemp("spread") / "project")
    spread.change(train={"recipe": {"engine": {"method": "torchrun", "workers": 2}}})
    return spread


def test_teacher_is_written_once_when_two_workers_train_it(spread: Project) -> None:
    before = _outputs(spread, "models/teacher")
    ran = spread.run("python", "-m", "stages.train")
    assert ran.returncode == 0, ran.stderr
    assert [line for line in ran.stderr.splitlines() if not line.startswith("train: ")] == []
    assert _outputs(spread, "models/teacher") != before
    assert not list((spread.folder / ".edgepress" / "checkpoints").glob("train-*"))
    assert _partials(spread.folder) == []


@pytest.mark.soak
def test_teacher_is_the_same_when_a_worker_was_killed_and_the_run_taken_up(
    spread: Project,
) -> None:
    assert spread.run("python", "-m", "stages.train").returncode == 0
    expected = _outputs(spread, "models/teacher")
    subprocess.run(["rm", "-rf", str(spread.folder / "models" / "teacher")], check=True)
    training = spread.start("python", "-m", "stages.train", stderr=subprocess.PIPE)
    spread.await_checkpoint(training, timeout=240)
    workers = psutil.Process(training.pid).children()
    next(each for each in workers if each.environ().get("RANK") == "1").kill()
    said = training.communicate(timeout=240)[1].decode().splitlines()
    assert training.returncode == 75
    assert said[-1] == (
        "train: worker 1 was killed (SIGKILL); run again, and training goes on from its last "
        "checkpoint; where memory was short, name fewer workers"
    )
    assert [line for line in said if not line.startswith("train: ")] == []
    assert not (spread.folder / "models" / "teacher").exists()
    resumed = spread.run("python", "-m", "stages.train")
    assert resumed.returncode == 0, resumed.stderr
    assert _outputs(spread, "models/teacher") == expected


@pytest.mark.soak
def test_teacher_is_the_same_when_ray_starts_a_killed_worker_again(spread: Project) -> None:
    assert spread.run("python", "-m", "stages.train").returncode == 0
    weights = spread.folder / "models" / "teacher" / "weights.safetensors"
    expected = weights.read_bytes()
    weights.unlink()
    spread.change(train={"recipe": {"engine": {"method": "ray", "workers": 2}}})
    training = spread.start("python", "-m", "stages.train")
    spread.await_checkpoint(training, timeout=240)
    started = psutil.Process(training.pid).children(recursive=True)
    next(each for each in started if "ray::RayTrainWorker" in " ".join(each.cmdline())).kill()
    assert training.wait(timeout=400) == 0
    assert weights.read_bytes() == expected


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["torchrun", "ray"])
def test_student_and_slimmed_are_written_once_when_two_workers_train_them(
    spread: Project, engine: str, tmp_path: Path
) -> None:
    parted = spread.copy(tmp_path / "project")
    recipe = {"engine": {"method": engine, "workers": 2}, "epochs": 3}
    parted.change(distill={"recipe": recipe}, slim=recipe)
    for stage, output in (("distill", "models/student"), ("slim", "models/slim")):
        before = _outputs(parted, output)
        ran = parted.run("python", "-m", f"stages.{stage}")
        assert ran.returncode == 0, ran.stderr
        assert [line for line in ran.stderr.splitlines() if "Traceback" in line] == []
        assert _outputs(parted, output) != before
        assert not list((parted.folder / ".edgepress" / "checkpoints").glob(f"{stage}-*"))
    assert _partials(parted.folder) == []


LONGER = [
    pytest.param(name, marks=pytest.mark.soak)
    for name in ("check", "embed", "curate", "distill", "slim")
]


@pytest.mark.parametrize("stage", ["ingest", *LONGER])
def test_outputs_are_the_same_when_a_stage_was_killed_at_any_moment(
    project: Project, stage: str
) -> None:
    outputs = {
        "ingest": "data/manifest",
        "check": "data/check",
        "embed": "data/embeddings",
        "curate": "data/selection",
        "distill": "models/student",
        "slim": "models/slim",
    }
    name = outputs[stage]
    ignored = ("docs",) if stage == "check" else ()
    expected = _contents(project.folder / name, ignored)
    for delay in (1.0, 3.0):
        process = project.start("python", "-m", f"stages.{stage}")
        time.sleep(delay)
        if process.poll() is None:
            kill(process)
    again = project.run("python", "-m", f"stages.{stage}")
    assert again.returncode == 0, again.stderr
    assert _contents(project.folder / name, ignored) == expected
    assert _partials(project.folder) == []


def _contents(folder: Path, ignored: tuple[str, ...]) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in ignored
    }


def test_dvc_carries_on_when_the_whole_run_was_killed(project: Project) -> None:
    project.change(distill={"recipe": {"epochs": 5}})
    whole = project.start("dvc", "repro", "distill")
    deadline = time.monotonic() + 120
    while not _runs(project, "stages.distill"):
        assert whole.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill(whole)
    output = project.repro("distill")
    assert "is blocked" not in output
    assert (project.folder / "models" / "student" / "model.json").is_file()


def test_nothing_done_runs_again_when_the_lock_file_was_cut_off(project: Project) -> None:
    lock = project.folder / "dvc.lock"
    text = lock.read_text()
    lock.write_text(text[: text.rindex("path:") + 3])
    broken = project.run("dvc", "repro", "distill")
    assert broken.returncode != 0
    said = project.run("python", "-m", "stages.lockfile")
    assert "set aside as dvc.lock.cut-off" in said.stderr
    output = project.repro("distill")
    assert set(re.findall(r"Running stage '(.*)'", output)) == {"state"}
