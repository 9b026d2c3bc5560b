"""This process alone, on its CPU or first GPU."""

from __future__ import annotations

import os
from typing import Literal

from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.training.engines.engine import Program


class Params(Config):
    """Nothing to set."""

    method: Literal["local"]


def run(program: Program, *, params: Params) -> None:  # noqa: ARG001
    """Do the work here; torchrun's workers would each do the whole of it."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError(
            f"started by torchrun with {os.environ.get('WORLD_SIZE')} workers, and the recipe "
            "names no engine; set engine: {method: torchrun, workers: N}, or start it by python"
        )
    program.here()
