"""For all tests: one thread each, nothing phones home, a mark from the folder a test lies in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(
    DO_NOT_TRACK="1",
    DVC_NO_ANALYTICS="1",
    GX_ANALYTICS_ENABLED="False",
    HF_HUB_DISABLE_TELEMETRY="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    NNCF_CI="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    RAY_USAGE_STATS_ENABLED="0",
)

_HERE = Path(__file__).parent
_MARKED = ("flows", "contracts", "pipeline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test of a marked folder with the folder's name, for `pytest -m`."""
    for item in items:
        folder = item.path.relative_to(_HERE).parts[0] if item.path.is_relative_to(_HERE) else ""
        if folder in _MARKED:
            item.add_marker(folder)
