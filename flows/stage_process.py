"""One stage of the graph as a `dvc repro` process: its output, its outcome, its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

How = Literal["ran", "restored", "unchanged"]

_LOCKED = re.compile(r"unable to acquire lock|is busy, it is being blocked", re.IGNORECASE)
_NETWORK = re.compile(
    r"connection (refused|reset|aborted|error)|connectionerror|name resolution|timed out|"
    r"max retries exceeded|network is unreachable|50[234] server error|service unavailable",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"To (track|enable) |\s+(git add|dvc config) |Use `dvc push`|(Updat|Generat)ing lock"
)
_CODE = re.compile(r"failed to run: .*exited with (?P<code>-?\d+)")
_REFUSED, _MAY_PASS = "2", "75"
"""Exit codes by which a stage says itself whether trying again can help."""

_KILLED = {"-9", "137"}
_KILLED_SAYS = (
    "killed (signal 9), as the kernel does when memory runs out; free some, or lower batch or "
    "EDGEPRESS_THREADS, and run again: it goes on from where it was"
)

_running: set[subprocess.Popen[str]] = set()


@dataclass(frozen=True)
class Done:
    """A stage that ended well."""

    stage: str
    how: How
    seconds: float


class StageFailedError(RuntimeError):
    """A stage that did not; the message is the stage's own line."""

    def __init__(self, stage: str, line: str, *, passing: bool) -> None:
        """Take the stage's line, naming the stage where it does not itself."""
        super().__init__(line if line.startswith(stage) else f"{stage}: {line}")
        self.passing = passing
        """True where the cause may pass by itself: a lock held by another run, a network."""

    @classmethod
    def of(cls, stage: str, lines: list[str]) -> StageFailedError:
        """Build it from what the process said."""
        return cls(stage, told(stage, lines), passing=passing(lines))


def reproduce(stage: str, timeout_s: float, say: Callable[[str], object]) -> Done:
    """Bring one stage up to date, handing each line of its output to `say`."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    started = time.monotonic()
    code, lines = stream(command, timeout_s, say)
    seconds = round(time.monotonic() - started, 2)
    if code is None:
        limit = f"stopped after {timeout_s:g} s, its time limit"
        line = f"{limit}; raise stage_timeout_s or make it cheaper"
        raise StageFailedError(stage, line, passing=False)
    if code:
        raise StageFailedError.of(stage, lines)
    return Done(stage, how(lines), seconds)


def stream(
    command: list[str], timeout_s: float, say: Callable[[str], object]
) -> tuple[int | None, list[str]]:
    """Run a process to its end; return its exit code (None when stopped for time) and its lines."""
    # Stages call `python`: the one that runs this flow, wherever the flow was started from.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    )
    late = threading.Event()

    def expire() -> None:
        late.set()
        _end(process)

    timer = threading.Timer(timeout_s, expire)
    _running.add(process)
    timer.start()
    lines = []
    try:
        for line in process.stdout or ():
            if line.strip():
                lines.append(line.rstrip())
                if not _ADVICE.match(line):
                    say(lines[-1])
        code = process.wait()
    finally:
        timer.cancel()
        _end(process)
        _running.discard(process)
    return (None if late.is_set() else code), lines


def stop_all() -> None:
    """End every process still running, and what it started: the flow is over."""
    for process in list(_running):
        _end(process)


def told(stage: str, lines: list[str]) -> str:
    """Return the line a person should read: the stage's own, else the last before DVC's summary.

    A stage that was killed has no last word: its own last line only says how far it was.
    """
    if _KILLED & _codes(lines):
        return _KILLED_SAYS
    own = [line for line in lines if line.startswith(f"{stage}: ")]
    if own:
        return own[-1]
    before = [line for line in lines if not line.startswith("ERROR: failed to reproduce")]
    return (before or lines or ["ended without a word"])[-1]


def passing(lines: list[str]) -> bool:
    """Tell whether a failure may pass by itself; what a stage refused (exit 2) never does."""
    text, codes = "\n".join(lines), _codes(lines)
    if _REFUSED in codes:
        return False
    return _MAY_PASS in codes or bool(_LOCKED.search(text) or _NETWORK.search(text))


def _codes(lines: list[str]) -> set[str]:
    return {match["code"] for match in _CODE.finditer("\n".join(lines))}


def how(lines: list[str]) -> How:
    """Read from DVC's words whether a stage ran, came from the run-cache, or was up to date."""
    if any(line.startswith("Running stage ") for line in lines):
        return "ran"
    return "restored" if any("is cached - skipping run" in line for line in lines) else "unchanged"


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and all below it: TERM, and KILL for what is left after five seconds."""
    if process.poll() is not None:
        return
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    for one in below:
        _signal(one.terminate)
    process.terminate()
    _, left = psutil.wait_procs(below, timeout=5)
    for one in left:
        _signal(one.kill)
    # Not by psutil: it would take our own child's exit code, and Popen then reports a success.
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _signal(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return
