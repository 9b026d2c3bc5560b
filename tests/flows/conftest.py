"""A small DVC project to run flows on, and one Prefect server for all of a worker's tests."""

from __future__ import annotations

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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: ingest, two exports, two validations, a report."""
    monkeypatch.chdir(tmp_path)
    # The machine's own DVC settings and site cache stay out of it.
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / ".site"))
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "step.py").write_text(STEP)
    (tmp_path / "params.yaml").write_text(PARAMS)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    return tmp_path


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect API of these tests' own, whatever the machine is set up for."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=600):
        yield
