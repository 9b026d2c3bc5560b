"""Workers that torchrun starts: on this host, or on several that are told of each other.

https://docs.pytorch.org/docs/stable/elastic/run.html. On one host nothing has to be said but
`workers`. On several the same stage is started on each, with PET_NNODES, PET_NODE_RANK and
PET_MASTER_ADDR in its environment, torchrun's own names for its options; where torchrun itself has
started this process it is one of the workers.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from typing import Any, Literal

from edgepress.errors import PassingError, UserError
from edgepress.training.engines import environment
from edgepress.training.engines.engine import Program, Workers

_WAIT_S = 300
"""Seconds for the hosts to find each other."""
_PORT = 29500
"""Where the first host listens, unless PET_MASTER_PORT says otherwise; torchrun's default."""


class Params(Workers):
    """How many workers."""

    method: Literal["torchrun"]


def run(program: Program, *, params: Params) -> None:
    """Start the workers and wait for them, or be one of them."""
    rank = environment.rank()
    if rank is not None:
        _be(program, rank)
        return
    from torch import distributed
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    options = _options(program.module, params.workers)
    if int(options.node_rank) > 0:
        _await(options.master_addr, int(options.master_port or _PORT))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[environment.STARTED] = str(os.getpid())
    try:
        torchrun.run(options)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        raise _told(error.failures) from None
    except (distributed.DistError, TimeoutError) as error:
        raise PassingError(
            f"engine: the hosts did not find each other in {_WAIT_S} s ({error}); start the stage "
            "on each of them, and run again"
        ) from None


def _options(module: str, workers: int) -> Any:
    from torch.distributed.run import get_args_parser

    options = get_args_parser().parse_args(["-m", module])
    hosts = options.nnodes.removeprefix("1:")
    if not hosts.isdecimal() or int(hosts) < 1 or workers % int(hosts):
        raise UserError(
            f"engine.workers: {workers} cannot be shared by {hosts} hosts (PET_NNODES) alike; "
            "name a multiple of the hosts, and a fixed number of them"
        )
    here = workers // int(hosts)
    options.nnodes = hosts
    _refuse_too_many(here)
    options.nproc_per_node = str(here)
    options.rdzv_conf = f"timeout={_WAIT_S}"
    return options


def _await(host: str, port: int) -> None:
    """Wait for the first host; torchrun itself says much while nobody answers."""
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError as error:
            if time.monotonic() > end:
                raise PassingError(
                    f"engine: {host}:{port} does not answer ({error}); see that PET_MASTER_ADDR "
                    "names the host of PET_NODE_RANK 0, start the stage there, and run again"
                ) from None
            time.sleep(0.5)
        else:
            return


def _refuse_too_many(here: int) -> None:
    """Refuse more workers than GPUs; CPUs are shared, which a line says."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if torch.cuda.is_available() and here > torch.cuda.device_count():
        raise UserError(
            f"engine.workers: {here} on a host with {torch.cuda.device_count()} CUDA devices; "
            "name at most one for each"
        )
    if not torch.cuda.is_available() and here > (cores or 1):
        sys.stderr.write(
            f"engine.workers: {here} share {cores} cores; as many as cores would be faster\n"
        )
    # Unsaid, torchrun gives each worker one thread, and a warning.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (cores or 1) // here)))


def _be(program: Program, rank: int) -> None:
    from torch.distributed.elastic.multiprocessing.errors import record

    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    if environment.STARTED not in os.environ:
        program.worker(rank)
        return
    try:
        record(program.worker)(rank)
    except UserError as error:  # whoever started the workers says it, once
        sys.exit(os.EX_TEMPFAIL if isinstance(error, PassingError) else 2)


def _end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone: another run may begin by then."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(os.EX_TEMPFAIL)


def _told(failures: dict[int, Any]) -> Exception:
    """Return the error of a run whose workers failed: what the user can mend comes first."""
    said = {rank: _message(failure) for rank, failure in failures.items()}
    for message in said.values():
        if message.startswith("UserError: "):
            return UserError(message.removeprefix("UserError: "))
    for rank, failure in failures.items():
        if failure.exitcode < 0:
            return PassingError(
                f"worker {rank} was killed ({failure.signal_name()}); run again, and training goes "
                "on from its last checkpoint; where memory was short, name fewer workers"
            )
    for message in said.values():
        if message.startswith("PassingError: "):
            return PassingError(message.removeprefix("PassingError: "))
    rank = min(failures)
    return RuntimeError(f"worker {rank} failed: {said[rank]}")


def _message(failure: Any) -> str:
    said = failure.message
    return str(said.get("message", "") if isinstance(said, dict) else said)
