"""Peak memory of a fresh process that loads an export and runs it, interpreter and all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_LIMIT_S = 300


@dataclass(frozen=True)
class Memory:
    """What the fresh process came back with."""

    status: Literal["ran", "not-here", "failed"]
    reason: str = ""
    """Why it did not run, one line."""
    peak_mb: float | None = None
    """Peak resident memory in MB of 10^6 bytes: interpreter, runtime, model and activations."""
    idle_mb: float | None = None
    """The part of the peak reached before the runtime was imported."""


def measure(folder: Path, threads: int) -> Memory:
    """Probe an export in a process of its own; a crash or a hang is a failure with its reason."""
    return fresh("edgepress.validation.probe", str(folder), str(threads))


def fresh(module: str, *arguments: str) -> Memory:
    """Run a module that loads a model in a process of its own, and says what that took."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Memory("failed", f"loading and ten runs took more than {_LIMIT_S} s")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return Memory("failed", f"the runtime died of {name} while loading or running the export")
    try:
        return Memory(**json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return Memory("failed", f"the probe ended with code {done.returncode}: {last}")
