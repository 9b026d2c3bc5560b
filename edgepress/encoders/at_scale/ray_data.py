"""Ray Data batch job: actors of a Ray cluster take one shard of images after another.

https://docs.ray.io/en/latest/data/batch_inference.html. Images, output and so the encoder in it
must lie on storage that every worker sees under the same path. A worker has a GPU to itself where
the cluster has any, else one CPU.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgepress.encoders.at_scale.embed_job import EmbedJob
from edgepress.errors import UserError
from edgepress.workers.ray import connected


def embed(
    job: EmbedJob, pending: list[int], address: str | None, workers: int | None
) -> Iterator[tuple[int, str | None]]:
    """Embed the pending shards on the cluster; yield (index, `EmbedJob.attempt`'s word) of each."""
    # Ray warns of what it does itself with an actor's arguments.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with connected(address, workers), _quiet():
        import ray.data

        gpus = int(ray.cluster_resources().get("GPU", 0))
        slots = gpus or int(ray.cluster_resources().get("CPU", 1))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        items = [{"index": index} for index in pending]
        # A block per shard, made here: a task that made them would wait for the actors' CPUs.
        shards = ray.data.from_items(items, override_num_blocks=len(items))
        done = shards.map_batches(
            _Worker,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(slots, len(pending))),
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else 1,
        )
        try:
            for row in done.iter_rows():
                yield int(row["index"]), str(row["damage"]) or None
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(str(error.cause)) from None
            raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back Ray Data's notes on its execution: what goes wrong comes as an exception."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Worker:
    """One actor, which keeps its encoder from shard to shard."""

    def __init__(self, job: EmbedJob) -> None:
        self._job = job

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        said = [self._job.attempt(int(index)) for index in batch["index"]]
        return {"index": batch["index"], "damage": [damage or "" for damage in said]}
