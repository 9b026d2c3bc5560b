"""Workers of a Ray cluster, started again by Ray Train where one is lost.

https://docs.ray.io/en/latest/train/train.html. The project's folder must lie on storage that every
worker sees under the same path. A worker has a GPU to itself where the cluster has any, else a CPU.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from edgepress.errors import PassingError, UserError
from edgepress.training.engines.engine import Program, Workers
from edgepress.workers.ray import connected

RESTARTS = 3
"""Times that lost workers are started again, from the last checkpoint."""


class Params(Workers):
    """How many workers, and of which cluster."""

    method: Literal["ray"]
    address: str | None = None
    """HOST:PORT of a cluster; null starts Ray on this machine, unless RAY_ADDRESS names one."""


def run(program: Program, *, params: Params) -> None:
    """Have the cluster's workers do the work, and wait for them."""
    address = params.address or os.environ.get("RAY_ADDRESS")
    scratch = program.folder / ".edgepress" / "ray" / f"{os.getpid()}-{time.time_ns()}"
    scratch.mkdir(parents=True)
    try:
        _run(program, params.workers, address, scratch / "refused")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(program: Program, workers: int, address: str | None, refused: Path) -> None:
    # The program's `here` is of this process alone.
    there = replace(program, here=_nothing)
    with connected(address, workers, "engine."):
        try:
            _trainer(partial(_work, there, refused), workers, refused.parent).fit()
        except UserError:
            raise
        except Exception as error:  # Ray wraps what its workers raise in many ways
            if not refused.exists():
                raise PassingError(
                    f"engine: workers were lost {RESTARTS + 1} times ({_clause(error)}); run "
                    "again, and training goes on from its last checkpoint"
                ) from None
    if refused.exists():
        raise UserError(refused.read_text(encoding="utf-8"))


def _trainer(work: Any, workers: int, storage: Path) -> Any:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    resources = ray.cluster_resources()
    gpus, cpus = (int(resources.get(kind, 0)) for kind in ("GPU", "CPU"))
    if workers > (gpus or cpus):
        held = f"{gpus} GPUs" if gpus else f"{cpus} CPUs"
        raise UserError(f"engine.workers: {workers} on a Ray cluster of {held}; name at most those")
    return TorchTrainer(
        work,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus > 0),
        run_config=RunConfig(
            storage_path=str(storage), failure_config=FailureConfig(max_failures=RESTARTS)
        ),
    )


def _work(program: Program, refused: Path) -> None:
    """Do the work in a worker of Ray's; a refusal is left in a file, and not tried again."""
    from ray.train import get_context

    if refused.exists():
        return
    try:
        program.worker(get_context().get_world_rank())
    except PassingError:
        raise
    except UserError as error:
        refused.write_text(str(error), encoding="utf-8")
        raise


def _nothing() -> None:
    """Do nothing."""


def _clause(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
