"""Uniform: every image once an epoch, in a random order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from edgepress.params import Config
from edgepress.tasks.balance import Shown


class Params(Config):
    """Nothing to set."""

    method: Literal["uniform"]


def weigh(shown: Callable[[], Shown], *, params: Params) -> None:  # noqa: ARG001
    """Return None: all images alike."""
    return
