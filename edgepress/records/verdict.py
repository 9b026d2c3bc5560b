"""Verdict: what a gate said about a target, and why."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from edgepress.records.record import Record
from edgepress.records.target import Target

Outcome = Literal["pass", "fail", "not-run"]


class Verdict(BaseModel):
    """One gate's answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gate: str
    """accuracy, parity, latency, size, memory, speedup ..."""
    outcome: Outcome
    value: float | None
    bound: float | None
    unit: str
    reason: str
    """One sentence a person can act on."""


class Verdicts(Record):
    """All gates of one target; promoted only when none fails and none is not-run."""

    file_name: ClassVar[str] = "verdicts.json"

    target: Target
    measurement_sha256: str = ""
    """sha256 of the measurement.json they judge."""
    verdicts: tuple[Verdict, ...]

    @property
    def outcome(self) -> Outcome:
        """`fail` if any gate failed, else `not-run` if any could not be run, else `pass`."""
        outcomes = {verdict.outcome for verdict in self.verdicts}
        if "fail" in outcomes:
            return "fail"
        return "pass" if outcomes == {"pass"} else "not-run"
