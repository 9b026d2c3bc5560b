"""The summary: one line per target in the terminal, from the measured folders."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgepress.errors import UserError
from edgepress.records.measurement import Measurement
from edgepress.records.verdict import Outcome, Verdicts
from edgepress.report import words
from edgepress.report.gates import obstacles
from edgepress.report.run import TargetRun

_STYLES: dict[Outcome, str] = {"pass": "green", "fail": "red", "not-run": "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgepress report`."""
    parser.add_argument(
        "measured",
        nargs="?",
        type=Path,
        default=Path("data/measured"),
        help="folder with a folder per target, as validate writes them (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table of the targets found; a failed gate is an answer, not an error."""
    show(read(arguments.measured))
    return 0


def read(folder: Path) -> list[TargetRun]:
    """Read every target's records below a folder; a folder without any is a UserError."""
    found = [_read_one(path.parent) for path in sorted(folder.glob("*/measurement.json"))]
    if not found:
        raise UserError(
            f"{folder}: no */measurement.json; run the validate stage or name its folder"
        )
    return found


def show(targets: Sequence[TargetRun], console: Console | None = None) -> None:
    """Print target, accuracy, p50, size, speedup and verdict, with reasons of what did not pass."""
    out = console or Console()
    table = Table(
        title="Targets", title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("target", no_wrap=True)
    for name in ("accuracy", "p50", "size", "speedup"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for target in targets:
        table.add_row(*_cells(target))
    out.print(table)
    for obstacle in obstacles(targets):
        gates, keys = ", ".join(obstacle.gates), ", ".join(obstacle.targets)
        sign, word = words.OUTCOMES[obstacle.outcome]
        head = Text(f"{sign} {gates}: {word}", style=_STYLES[obstacle.outcome])
        out.print(head, Text(f"  {obstacle.reason}\n  {keys}"), sep="\n")


def _cells(target: TargetRun) -> list[Text]:
    latency = None if target.measurement is None else target.measurement.latency
    speedup = None if latency is None else latency.speedup
    values = [
        target.key,
        words.percent(target.accuracy),
        words.milliseconds(None if latency is None else latency.p50_ms.value),
        words.size(target.size_bytes),
        words.times(None if speedup is None else speedup.value),
    ]
    sign, word = words.OUTCOMES[target.outcome]
    # Text, never markup: a name in square brackets is a name.
    return [*map(Text, values), Text(f"{sign} {word}", style=_STYLES[target.outcome])]


def _read_one(folder: Path) -> TargetRun:
    measurement = Measurement.read(folder)
    has_verdicts = (folder / Verdicts.file_name).exists()
    return TargetRun(
        target=measurement.target,
        measurement=measurement,
        verdicts=Verdicts.read(folder) if has_verdicts else None,
    )
