"""Where a run comes from: git commit, machine, parameters, and what DVC recorded of each stage."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from edgepress.params import read_yaml
from edgepress.records.record import sha256_file
from edgepress.report.run import Provenance
from stages.places import LOCK, PARAMS
from stages.stage import Stage


def provenance(stage: Stage) -> Provenance:
    """Describe this working tree, machine and moment."""
    return Provenance(
        project=str(stage.raw("project")),
        commit=_git("rev-parse", "HEAD"),
        # The lock is written by the run itself.
        dirty=bool(_git("status", "--porcelain", "--", ".", ":!dvc.lock")),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=_machine(),
        params_sha256=sha256_file(PARAMS),
        seed=stage.seed,
    )


@dataclass(frozen=True)
class Lock:
    """What dvc.lock says: per stage its parameters, and the hash of every dependency and output."""

    stages: dict[str, Any]

    @classmethod
    def read(cls) -> Lock:
        """Read dvc.lock; without one (stages run by hand) nothing is known."""
        return cls(read_yaml(LOCK).get("stages", {}) if LOCK.exists() else {})

    def params(self, title: str) -> dict[str, Any]:
        """Return the dotted parameters that a stage was run with."""
        return dict(self.stages.get(title, {}).get("params", {}).get(str(PARAMS), {}))

    def ancestry(self, title: str) -> dict[str, str]:
        """Return path -> md5 of the stage's outputs and of all outputs it was made from."""
        found: dict[str, str] = {}
        waiting, seen = [title], {title}
        while waiting:
            entry = self.stages.get(waiting.pop(), {})
            found.update({out["path"]: str(out.get("md5", "")) for out in entry.get("outs", [])})
            for dependency in entry.get("deps", []):
                maker = self._makers.get(dependency["path"])
                if maker is not None and maker not in seen:
                    seen.add(maker)
                    waiting.append(maker)
        return dict(sorted(found.items()))

    @cached_property
    def _makers(self) -> dict[str, str]:
        return {
            out["path"]: name
            for name, entry in self.stages.items()
            for out in entry.get("outs", [])
        }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    cores = os.cpu_count() or 1
    return f"{model}, {cores} core{'s' if cores != 1 else ''}, {platform.system()}"
