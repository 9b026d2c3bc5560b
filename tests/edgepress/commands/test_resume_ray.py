"""`edgepress curate --engine ray` after SIGKILL: the command goes on where its driver died."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import edgepress
from edgepress.cli import main

# The command, saving after every unit of 8,192 rows. It notes how many units of which pass Ray is
# given; with KILLED_IN it kills itself once that pass has saved three of them.
DRIVER = """
import json, os, signal, sys
from functools import partial
from pathlib import Path

import psutil

from edgepress.cli import main
from edgepress.commands import curate
from edgepress.curation._select.curate_job import CurateJob
from edgepress.workers.ray import Cluster
from edgepress.workers.scratch import Work

curate.Compute = partial(curate.Compute, span=1, every=0.0)
log, killed_in = Path(sys.argv[1]), os.environ.get("KILLED_IN")
seen = {"units": {}, "processes": []}
run, results, save = CurateJob.run, Cluster.results, Work.save
current = ""

def noted_run(self, name, *rest, **options):
    global current
    current = name
    return run(self, name, *rest, **options)

def noted_results(self, task, spans):
    seen["units"][current] = sum(last - first for first, last in spans)
    return results(self, task, spans)

def deadly_save(self, name, arrays):
    save(self, name, arrays)
    if name == killed_in and arrays["done"].sum() == 3:
        found = psutil.Process().children(recursive=True)
        seen["processes"] = [process.name() for process in found]
        log.write_text(json.dumps(seen))
        os.kill(os.getpid(), signal.SIGKILL)

CurateJob.run, Cluster.results, Work.save = noted_run, noted_results, deadly_save
code = main(sys.argv[2:])
log.write_text(json.dumps(seen))
sys.exit(code)
"""
SERVERS = {"raylet", "gcs_server"}

Vectors = Callable[..., Any]
Drive = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    """Return a runner of DRIVER in a session of its own, in which nothing is left at the end."""
    started: list[int] = []

    def go(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        root = str(Path(edgepress.__file__).parents[1])
        errors = tmp_path / "errors"
        with errors.open("wb") as file:
            child = subprocess.Popen(
                [sys.executable, "-c", DRIVER, *arguments],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", **environment},
                stderr=file,
                start_new_session=True,
            )
        started.append(child.pid)
        child.wait(timeout=120)
        if "timed out during startup" in errors.read_text():
            pytest.skip("this machine is too busy for Ray, which gives its own start 30 seconds")
        return child

    yield go
    for process in [found for leader in started for found in _session(leader)]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _session(leader: int) -> list[psutil.Process]:
    """Return the live processes of the session that `leader` began."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _servers(leader: int) -> set[str]:
    names = set()
    for process in _session(leader):
        with contextlib.suppress(psutil.Error):
            names.add(process.name())
    return names & SERVERS


def test_ray_run_goes_on_and_keeps_the_same_bytes_when_its_driver_is_killed_in_a_pass(
    tmp_path: Path, vectors: Vectors, monkeypatch: pytest.MonkeyPatch, drive: Drive
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", vectors(60_000))
    command = ["curate", "v.npy", "--keep", "0.3", "--clusters", "12", "--workers", "2"]
    command += ["--deduplicate", "0.995"]
    assert main([*command, "--out", "local.parquet"]) == 0
    command += ["--out", "kept.parquet", "--engine", "ray"]

    killed = drive("killed.json", *command, KILLED_IN="lloyd-0")
    assert killed.returncode == -signal.SIGKILL
    before = json.loads(Path("killed.json").read_text())
    assert before["units"]["lloyd-0"] == 8
    assert not Path("kept.parquet").exists()
    assert set(before["processes"]) >= SERVERS
    deadline = time.monotonic() + 20
    while _servers(killed.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _servers(killed.pid)

    again = drive("again.json", *command)
    assert again.returncode == 0
    after = json.loads(Path("again.json").read_text())["units"]
    assert list(after)[:2] == ["lloyd-0", "first"]
    assert (after["lloyd-0"], after["first"]) == (8 - 3, 8)
    assert Path("kept.parquet").read_bytes() == Path("local.parquet").read_bytes()
    assert not list(tmp_path.glob(".kept.parquet.*"))
