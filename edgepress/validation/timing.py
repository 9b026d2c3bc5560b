"""Timing: the `validate` section of params.yaml, how every export is timed."""

from __future__ import annotations

from pydantic import Field

from edgepress.params import Config


class Timing(Config):
    """What changes a latency and is not the model's doing."""

    warmup: int = Field(gt=0)
    """Runs per warm-up window; windows follow until one is no longer faster than the one before."""
    runs: int = Field(ge=100)
    """Timed runs of the export, and as many of its baseline; p99 at 95 % needs 368 or more."""
    threads: int = Field(gt=0)
    """Threads one run may use."""
    confidence: float = Field(gt=0.5, lt=1)
    """Of every interval, two-sided."""
