"""The pipeline as a Prefect flow: one task per stage of dvc.yaml, in the order of DVC's graph."""

from __future__ import annotations

import os
import sys
from functools import partial
from queue import SimpleQueue
from typing import Any, cast

import psutil
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from flows.schedule import Graph, Schedule
from flows.stage_process import Done, StageFailedError, reproduce, stop_all, stream
from flows.tables import StageResult, publish

EXCLUSIVE = "validate@*"
"""These time models, so nothing runs beside them."""

STAGE_BYTES = 2 << 30
"""Memory to count on for one stage when choosing how many run at a time."""


COMMAND_TIMEOUT_S = 3600.0
"""For what is not a stage: checking parameters, pulling data."""


class PipelineError(RuntimeError):
    """The flow's end when a stage failed: each failed stage's own line."""


def may_pass(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Retry only what may pass by itself: a lock, a network; never a refusal, a gate or a bug."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageFailedError) and error.passing


@task(
    task_run_name="{stage}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[10, 60],
    retry_condition_fn=may_pass,
)
def repro(stage: str, timeout_s: float) -> Done:
    """Bring one stage up to date; whether it has to run is DVC's to decide."""
    return reproduce(stage, timeout_s, get_run_logger().info)


@task(cache_policy=NO_CACHE)
def prepare() -> None:
    """Check params.yaml and dvc.lock whole; write down what code, tools and user files are."""
    _command("params", "edgepress.cli", "params")
    _command("lockfile", "stages.lockfile")
    _command("state", "stages.state")


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=[10, 60], retry_condition_fn=may_pass)
def pull() -> None:
    """Fetch what the DVC remote has of this version's data."""
    _command("pull", "dvc", "--wait-for-lock", "pull", "--allow-missing")


@flow(
    name="pipeline", task_runner=cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner[Any]())
)
def pipeline(
    stages: list[str] | None = None,
    places: int | None = None,
    stage_timeout_s: float = 4 * 3600.0,
    pull_first: bool = False,
) -> None:
    """Bring the stages matching any of `stages` (default: all) up to date, `places` at a time."""
    try:
        prepare()
        if pull_first:
            pull()
        graph = Graph.read() if stages is None else Graph.read().only(stages)
        rows = run(Schedule(graph, places or default_places(), EXCLUSIVE), stage_timeout_s)
    finally:
        stop_all()
    publish(rows)
    failed = [row.line for row in rows if row.outcome == "failed"]
    if failed:
        raise PipelineError("; ".join(failed))


def run(schedule: Schedule, timeout_s: float) -> list[StageResult]:
    """Submit each stage as soon as it may start; a failure stops only what depends on it."""
    ended: SimpleQueue[tuple[str, PrefectFuture[Done]]] = SimpleQueue()
    rows: list[StageResult] = []
    while True:
        for stage in schedule.start():
            future = repro.submit(stage, timeout_s)
            future.add_done_callback(partial(_tell, ended, stage))
        if not schedule.running:
            break
        stage, future = ended.get()
        row = _row(stage, future)
        rows.append(row)
        schedule.finish(stage, ok=row.outcome != "failed")
    return rows + [StageResult(stage, "not started", None, "") for stage in schedule.blocked]


def default_places() -> int:
    """Return how many stages this machine holds: by its cores and by 2 GiB of free memory each."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, psutil.virtual_memory().available // STAGE_BYTES))


def main(arguments: list[str]) -> int:
    """Run the flow here, on the stages named by patterns, or on all; 1 and one line on failure."""
    try:
        pipeline(stages=arguments or None)
    except (PipelineError, StageFailedError) as error:
        sys.stderr.write(f"flow: {error}\n")
        return 1
    return 0


def _tell(
    ended: SimpleQueue[tuple[str, PrefectFuture[Done]]], stage: str, future: PrefectFuture[Done]
) -> None:
    ended.put((stage, future))


def _row(stage: str, future: PrefectFuture[Done]) -> StageResult:
    result = future.result(raise_on_failure=False)
    if isinstance(result, Done):
        return StageResult(stage, result.how, result.seconds, "")
    return StageResult(stage, "failed", None, str(result))


def _command(name: str, *module: str) -> None:
    command = [sys.executable, "-m", *module]
    code, lines = stream(command, COMMAND_TIMEOUT_S, get_run_logger().info)
    if code != 0:
        raise StageFailedError.of(name, lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
