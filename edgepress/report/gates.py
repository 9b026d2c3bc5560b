"""The target x gate table, and the reasons of whatever did not pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepress.records.verdict import Outcome, Verdict
from edgepress.report.run import TargetRun

NO_VERDICTS = "no verdicts were written for this target; run its validate stage"


@dataclass(frozen=True)
class Row:
    """One target with a verdict, or None, per gate."""

    run: TargetRun
    cells: tuple[Verdict | None, ...]


@dataclass(frozen=True)
class Obstacle:
    """One reason with everything it kept from passing."""

    reason: str
    gates: tuple[str, ...]
    outcome: Outcome
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """All targets against all gates, in the order the gates were given."""

    gates: tuple[str, ...]
    rows: tuple[Row, ...]
    obstacles: tuple[Obstacle, ...]
    """Each reason once: a missing device stops many gates of several targets alike."""


def table(targets: Sequence[TargetRun]) -> Table:
    """Line the verdicts of every target up under the gates that any of them has."""
    gates: dict[str, None] = {}
    for target in targets:
        for verdict in _verdicts(target):
            gates.setdefault(verdict.gate)
    rows = tuple(_row(target, tuple(gates)) for target in targets)
    return Table(tuple(gates), rows, obstacles(targets))


def obstacles(targets: Sequence[TargetRun]) -> tuple[Obstacle, ...]:
    """Group what did not pass by its reason, failures first."""
    gates: dict[tuple[str, Outcome], dict[str, None]] = {}
    held: dict[tuple[str, Outcome], dict[str, None]] = {}
    for target in targets:
        for outcome, gate, reason in _not_passed(target):
            gates.setdefault((reason, outcome), {})[gate] = None
            held.setdefault((reason, outcome), {})[target.key] = None
    found = [
        Obstacle(reason, tuple(gates[reason, outcome]), outcome, tuple(held[reason, outcome]))
        for reason, outcome in gates
    ]
    return tuple(sorted(found, key=lambda obstacle: obstacle.outcome != "fail"))


def _not_passed(target: TargetRun) -> list[tuple[Outcome, str, str]]:
    if target.verdicts is None:
        return [("not-run", "all gates", NO_VERDICTS)]
    return [
        (verdict.outcome, verdict.gate, verdict.reason)
        for verdict in target.verdicts.verdicts
        if verdict.outcome != "pass"
    ]


def _row(target: TargetRun, gates: tuple[str, ...]) -> Row:
    by_gate = {verdict.gate: verdict for verdict in _verdicts(target)}
    return Row(target, tuple(by_gate.get(gate) for gate in gates))


def _verdicts(target: TargetRun) -> tuple[Verdict, ...]:
    return () if target.verdicts is None else target.verdicts.verdicts
