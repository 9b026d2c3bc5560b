from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as the ingest stage writes them, from the committed params.yaml."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    subprocess.run([sys.executable, "-m", "stages.ingest"], cwd=folder, check=True)
    return folder / "data" / "manifest"
