"""A small DVC project to run flows on, and one Prefect server for all of a worker's tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PIPELINE = """\
stages:
  ingest:
    cmd: python step.py ingest
    params: [ingest]
    outs: [made/ingest]
  export:
    foreach: [a, b]
    do:
      cmd: python step.py export@${item}
      deps: [made/ingest]
      params: ["export.${item}"]
      outs: ["made/export@${item}"]
  validate:
    foreach: [a, b]
    do:
      cmd: python step.py validate@${item}
      deps: ["made/export@${item}"]
      outs: ["made/validate@${item}"]
  report:
    cmd: python step.py report
    deps: ["made/validate@a", "made/validate@b"]
    outs: [made/report]
"""

STEP = """\
import sys, time
from pathlib import Path
import yaml

name = sys.argv[1]
tree = yaml.safe_load(Path("params.yaml").read_text())
if name.startswith("export@") and tree["export"][name[-1]] == "bad":
    sys.exit(sys.stderr.write(f"{name}: params.yaml: export.{name[-1]}: bad\\n") and 2)
started = time.time()
time.sleep(tree["pause"])
Path("made").mkdir(exist_ok=True)
Path("made", name).write_text(name)
with open("times.log", "a") as log:
    log.write(f"{name} {started} {time.time()}\\n")
"""


PARAMS = """\
pause: 0.5
ingest: 1
export:
  a: good
  b: good
"""


@pytest.fixture(scope="session")
def initialized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `dvc init` makes, and the pipeline; tests take copies."""
    folder = tmp_path_factory.mktemp("initialized")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "step.py").write_text(STEP)
    (folder / "params.yaml").write_text(PARAMS)
    init = [sys.executable, "-m", "dvc", "init", "--no-scm", "-q"]
    # The machine's own DVC settings and site cache stay out of it.
    environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(folder / ".site")}
    subprocess.run(init, cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture
def project(initialized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: ingest, two exports, two validations, a report."""
    root = tmp_path / "project"
    shutil.copytree(initialized, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(root / ".site"))
    return root


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect API of these tests' own, whatever the machine is set up for."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=600):
        yield
