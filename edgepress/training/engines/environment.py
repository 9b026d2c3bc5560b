"""The environment by which torchrun tells a process which worker it is."""

from __future__ import annotations

import os

from edgepress.errors import UserError

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
STARTED = "EDGEPRESS_WORKERS_OF"
"""Beside them where a stage itself has started its workers: the id of its process."""


def rank() -> int | None:
    """Return which worker this process is, from 0; None where nobody started it as one.

    An environment that says half of it is a UserError.
    """
    given = [name for name in NAMES if os.environ.get(name)]
    if not given:
        return None
    missing = [name for name in NAMES if name not in given]
    if missing:
        raise UserError(
            f"{', '.join(given)} of torchrun's environment are set and {', '.join(missing)} not; "
            "start the stage by torchrun, or unset them"
        )
    return number("RANK")


def number(name: str) -> int:
    """Return one of the environment's numbers."""
    text = os.environ[name]
    if not text.isdecimal():
        raise UserError(f"{name}: expected a whole number in torchrun's environment, got {text!r}")
    return int(text)
