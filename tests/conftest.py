"""For all tests: one thread each, nothing phones home, marks from folders, who runs what."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(
    DO_NOT_TRACK="1",
    DVC_NO_ANALYTICS="1",
    GX_ANALYTICS_ENABLED="False",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_OFFLINE="1",  # read once, when the hub's library is imported
    MLFLOW_DISABLE_TELEMETRY="true",
    NNCF_CI="1",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    RAY_USAGE_STATS_ENABLED="0",
)

_HERE = Path(__file__).parent
_MARKED = ("flows", "contracts", "pipeline")
_UNITS = {
    "pipeline": (
        "tests/pipeline/test_dvc_commands.py",
        "tests/pipeline/test_end_to_end.py",
        "tests/pipeline/test_kill_and_resume.py",
    ),
    "networks": (
        "tests/edgepress/backbones/",
        "tests/edgepress/bundles/",
        "tests/edgepress/distillation/",
        "tests/edgepress/export/",
        "tests/edgepress/heads/",
        "tests/edgepress/pruning/",
        "tests/edgepress/quantization/",
        "tests/edgepress/runtimes/",
        "tests/edgepress/training/",
        "tests/stages/test_export.py",
    ),
    "segmentation": ("tests/pipeline/test_segmentation.py",),
    "detection": ("tests/pipeline/test_detection.py",),
    "keypoints": ("tests/pipeline/test_keypoints.py",),
    "multilabel": ("tests/pipeline/test_multilabel.py",),
    "added": ("tests/pipeline/test_added_task.py",),
    "flows": ("tests/flows/",),
    "expectations": ("tests/edgepress/data/test_checking.py", "tests/stages/test_check.py"),
}
"""Unit -> the files that one worker runs, so that what they share is made once: a run of the whole
graph, the imports of seven toolchains, a server. Longest first: short files even the workers out.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test of a marked folder with the folder's name, for `pytest -m`; sort for xdist."""
    for item in items:
        folder = item.path.relative_to(_HERE).parts[0] if item.path.is_relative_to(_HERE) else ""
        if folder in _MARKED:
            item.add_marker(folder)
    if hasattr(config, "workerinput"):
        first = list(_UNITS)
        units = [_unit(item.nodeid) for item in items]
        ranks = [first.index(unit) if unit in first else len(first) for unit in units]
        order = sorted(range(len(items)), key=ranks.__getitem__)
        items[:] = [items[index] for index in order]


@pytest.fixture(scope="module", autouse=True)
def _settled() -> None:
    """Take what was imported out of the garbage collector's sight.

    coremltools collects at every step of a conversion, and the toolchains leave 700,000 objects.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def checkpoints_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have training save after every step, whatever that costs."""
    from edgepress.training import loop

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr(loop, "SHARE_OF_CHECKPOINTS", 1e9)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Under `--dist loadfile`, hand out units instead of files."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit(nodeid)

    return Units(config, log)


def _unit(nodeid: str) -> str:
    path = nodeid.partition("::")[0]
    return next((unit for unit, starts in _UNITS.items() if path.startswith(starts)), path)
