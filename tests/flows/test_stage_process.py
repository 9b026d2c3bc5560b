from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from flows import stage_process
from flows.stage_process import StageFailedError, passing, reproduce, stop_all, stream, told

SLEEPER = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
)


def test_reproduce_tells_whether_a_stage_ran_when_it_ends(project: Path) -> None:
    heard: list[str] = []
    assert reproduce("ingest", 60, heard.append).how == "ran"
    assert "Running stage 'ingest':" in heard
    assert not any("dvc push" in line for line in heard)
    assert reproduce("ingest", 60, heard.append).how == "unchanged"
    (project / "dvc.lock").unlink()
    assert reproduce("ingest", 60, heard.append).how == "restored"


def test_reproduce_raises_the_stages_own_line_when_it_refuses(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("b: good", "b: bad"))
    (project / "made").mkdir()
    (project / "made" / "ingest").touch()
    with pytest.raises(StageFailedError) as caught:
        reproduce("export@b", 60, str)
    assert str(caught.value) == "export@b: params.yaml: export.b: bad"
    assert not caught.value.passing


def family() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_stream_ends_the_whole_family_when_time_is_up() -> None:
    before = family()
    started = time.monotonic()
    code, _ = stream([sys.executable, "-c", SLEEPER], 1.5, str)
    assert code is None
    assert time.monotonic() - started < 15
    assert not family() - before


def test_stop_all_ends_running_processes_when_the_flow_is_over() -> None:
    before = family()
    codes: list[int | None] = []
    thread = threading.Thread(
        target=lambda: codes.append(stream([sys.executable, "-c", SLEEPER], 60, str)[0])
    )
    thread.start()
    while not stage_process._running:
        time.sleep(0.01)
    time.sleep(0.3)
    stop_all()
    thread.join(timeout=20)
    assert codes
    assert codes[0] not in (0, None)
    assert not family() - before


def test_stream_gives_the_exit_code_and_every_line_when_it_ends() -> None:
    code = "import sys; print('a'); print(); print('b', file=sys.stderr); sys.exit(3)"
    heard: list[str] = []
    assert stream([sys.executable, "-c", code], 30, heard.append) == (3, ["a", "b"])
    assert heard == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ERROR: Unable to acquire lock. Most likely another DVC process is running", True),
        ("ERROR: '/x/made' is busy, it is being blocked by:", True),
        ("ERROR: failed to pull: ConnectionError: Max retries exceeded with url", True),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", True),
        ("ERROR: failed to run: python -m stages.train, exited with 1", False),
        ("ValueError: shapes do not fit", False),
    ],
)
def test_passing_is_true_when_the_cause_may_go_away(line: str, expected: bool) -> None:
    assert passing(["Running stage 'x':", line]) is expected


def test_passing_is_false_when_the_stage_refused_what_the_user_gave() -> None:
    refusal = "ERROR: failed to reproduce 'x': failed to run: python -m stages.x, exited with 2"
    assert not passing(["x: no network: connection refused; pass precomputed weights", refusal])


def test_passing_is_true_when_the_stage_says_that_the_cause_may_go_away() -> None:
    failed = "ERROR: failed to reproduce 'x': failed to run: python -m stages.x, exited with 75"
    assert passing(["x: MLflow at http://127.0.0.1:5000: away; start it", failed])


@pytest.mark.parametrize("code", ["-9", "137"])
def test_told_is_that_a_stage_was_killed_when_it_had_no_last_word(code: str) -> None:
    lines = [
        "train: training: 640 of 1,562, 41 s",
        "ERROR: failed to reproduce 'train': failed to run: python -m stages.train, "
        f"exited with {code}",
    ]
    assert told("train", lines).startswith("killed (signal 9), as the kernel does when memory runs")
    assert not passing(lines)


def test_told_is_the_last_line_before_dvcs_own_when_the_stage_crashed() -> None:
    lines = ["Traceback", "ValueError: no", "ERROR: failed to reproduce 'x': failed to run: y"]
    assert told("x", lines) == "ValueError: no"
    assert told("x", []) == "ended without a word"
