"""Spread: stages whose training several workers do together, each of which runs the stage.

The engine of the recipe starts them. Who starts them holds the stage's lock; only the first worker
scores and writes.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edgepress.methods import resolve
from edgepress.training.engines import environment
from edgepress.training.engines.engine import Program
from stages.places import PARAMS
from stages.stage import Stage, main, refuse_strangers

LOCAL = {"method": "local"}
"""The engine of recipes that name none."""


def main_by(name: str, recipe: str, work: Callable[[Stage], None]) -> None:
    """Run `work` as stage `name` by the engine that the recipe at a key of params.yaml names."""
    held = environment.STARTED in os.environ or _follows()
    main(name, partial(_spread, recipe, work), locks=not held)


def worker(name: str, folder: Path, rank: int) -> None:
    """Do a stage's work in its folder, as one of several workers that do the same."""
    os.chdir(folder)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # where modules of the user's own are
    stage = Stage(name)
    stage.follows = rank > 0
    importlib.import_module(f"stages.{name}").work(stage)
    refuse_strangers(stage)
    stage.finish()


def _spread(recipe: str, work: Callable[[Stage], None], stage: Stage) -> None:
    entry = stage.raw(recipe)
    raw = entry.get("engine", LOCAL) if isinstance(entry, dict) else LOCAL
    engine = resolve("training.engines", raw, str(PARAMS), f"{recipe}.engine")
    folder = Path.cwd()
    engine(
        Program(
            module=f"stages.{stage.name}",
            here=partial(work, stage),
            worker=partial(worker, stage.name, folder),
            folder=folder,
        )
    )


def _follows() -> bool:
    """Tell a worker, or a host of workers, beside another one that holds the stage's lock."""
    first = (os.environ.get("RANK", "0"), os.environ.get("PET_NODE_RANK", "0"))
    return first != ("0", "0")
