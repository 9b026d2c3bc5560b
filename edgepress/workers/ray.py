"""Ray engine: the same tasks on the workers of a Ray cluster, with the same result to the bit.

Shards and the scratch folder must lie on storage that every worker sees under the same path. As on
one machine a worker's matrix product is single-threaded; workers should be of one processor type,
since two types may round a product differently.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgepress.errors import UserError
from edgepress.workers.local import Span, Task, single_threaded


class Cluster:
    """A connection to Ray for the length of a `with connected(...)` block."""

    def __init__(self, workers: int, remote: Any) -> None:
        """Use `connected`, which finds out how many workers there are."""
        self.workers = workers
        self._remote = remote

    def results(self, task: Task, spans: Sequence[Span]) -> Iterator[tuple[Span, Any]]:
        """Yield results as they come, with at most two spans per worker under way."""
        import ray

        shared = ray.put(task)
        todo = iter(spans)
        running: dict[Any, Span] = {}
        try:
            while True:
                while len(running) < 2 * self.workers and (span := next(todo, None)):
                    running[self._remote.remote(shared, *span)] = span
                if not running:
                    return
                ready, _ = ray.wait(list(running), num_returns=1)
                span = running.pop(ready[0])
                yield span, _fetched(ready[0])
        finally:
            for reference in running:
                ray.cancel(reference, force=False)


@contextmanager
def connected(
    address: str | None = None, workers: int | None = None, key: str = "--"
) -> Iterator[Cluster]:
    """Join the Ray cluster at `address`, or start one on this machine with `workers` workers.

    `key` is what stands before the word address where the user has written it.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        # "local" starts one even where another cluster of this machine could be joined.
        options |= {
            "address": "local",
            "num_cpus": workers or os.cpu_count(),
            "include_dashboard": False,
        }
    else:
        options["address"] = address
    try:
        if address is not None:
            _knock(address)
        ray.init(**options)
    except Exception as error:  # Ray raises plain ones where its processes do not come up in time
        ray.shutdown()
        raise _refusal(address, error, key) from None
    try:
        # A span is lost with its machine, not with its error: those are the user's to see.
        remote = ray.remote(num_cpus=1, max_retries=3)(_call)
        yield Cluster(int(ray.cluster_resources().get("CPU", 1)), remote)
    finally:
        ray.shutdown()


def _refusal(address: str | None, error: Exception, key: str) -> UserError:
    clause = str(error).splitlines()[0] if str(error) else type(error).__name__
    if address is None:
        return UserError(
            f"engine ray: Ray does not start on this machine ({clause}); try again when it is "
            "less busy, or use the engine local"
        )
    return UserError(
        f"{key}address {address}: no Ray cluster answers ({clause}); start one with "
        "`ray start --head`, or name the HOST:PORT it prints"
    )


def _knock(address: str) -> None:
    """Raise OSError or ValueError at once where nothing listens: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address != "auto":
        socket.create_connection((host, int(port)), timeout=5).close()


def _call(task: Task, first: int, last: int) -> Any:
    with single_threaded():
        return task(first, last)


def _fetched(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from None
        raise
