"""Probe: a fresh process that loads an export, runs it, and says what that took.

Run as `python -m edgepress.validation.probe FOLDER THREADS`; the last line of its output is JSON.
A runtime that crashes takes this process with it and not the one that measures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgepress.runtimes.session import NotHere
from edgepress.validation.subject import Subject

_RUNS = 10


def peak_mb() -> float | None:
    """Return this process's peak resident memory in MB of 10^6 bytes; None without /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return kibibytes[0] * 1024 / 1e6 if kibibytes else None


def probe(folder: Path, threads: int) -> dict[str, object]:
    """Load and run an export; the answer's `status` is ran, not-here or failed."""
    subject = Subject.read(folder)
    idle = peak_mb()
    try:
        session = subject.load(threads)
        part = subject.exported.part
        item = {port.tensor.name: port.tensor.zeros() for port in part.inputs}
        for _ in range(_RUNS):
            session.run(item)
        session.close()
    except NotHere as absence:
        return {"status": "not-here", "reason": absence.reason}
    except Exception as error:  # Whatever a foreign runtime throws at a file is its verdict on it.
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}
    return {"status": "ran", "peak_mb": peak_mb(), "idle_mb": idle}


def main(arguments: list[str]) -> int:
    """Probe the folder named on the command line and write the answer to standard output."""
    if len(arguments) != 2 or not arguments[1].isdigit():
        sys.stderr.write("usage: python -m edgepress.validation.probe FOLDER THREADS\n")
        return 2
    answer = probe(Path(arguments[0]), int(arguments[1]))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
