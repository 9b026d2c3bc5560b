"""The summary: what to ship, and one line per target in the terminal, from the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgepress.errors import UserError
from edgepress.records.exported import Exported
from edgepress.records.measurement import Measurement
from edgepress.records.verdict import Outcome, Verdicts
from edgepress.report import words
from edgepress.report.choice import choices
from edgepress.report.gates import obstacles
from edgepress.report.run import TargetRun

_MEASURED = Measurement.file_name
_STYLES: dict[Outcome, str] = {"pass": "green", "fail": "red", "not-run": "yellow"}


def read(folder: Path, keys: Sequence[str] | None = None) -> list[TargetRun]:
    """Read the records of targets below a folder; none at all is a UserError.

    With `keys` of those alone, in their order; without, of all by name.
    """
    there = {path.parent.name: path.parent for path in folder.glob(f"measured/*/{_MEASURED}")}
    wanted = [there[key] for key in (sorted(there) if keys is None else keys) if key in there]
    if not wanted:
        raise UserError(
            f"{folder}: no measured/*/{_MEASURED} of a target that params.yaml names; "
            "run the validate stage or name its folder"
        )
    return [_read_one(folder, each.name) for each in wanted]


def show(targets: Sequence[TargetRun], console: Console | None = None) -> None:
    """Print what to ship, a line per target, and the reasons of what did not pass."""
    out = console or Console()
    for choice in choices(targets):
        head = Text(choice.head, style="bold green" if choice.ships else "yellow")
        out.print(head.append(f": {choice.why}", style="not bold default"))
    out.print()
    table = Table(
        title="Targets", title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("target", no_wrap=True)
    score = next((target.score for target in targets if target.score is not None), None)
    first = "score" if score is None else words.name(score.name)
    for name in (first, "p50", "size", "speedup"):
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
        _score(target),
        words.milliseconds(None if latency is None else latency.p50_ms.value),
        words.size(target.size_bytes),
        words.times(None if speedup is None else speedup.value),
    ]
    sign, word = words.OUTCOMES[target.outcome]
    # Text, never markup: a name in square brackets is a name.
    return [*map(Text, values), Text(f"{sign} {word}", style=_STYLES[target.outcome])]


def _score(target: TargetRun) -> str:
    found = target.score
    return words.ABSENT if found is None else words.score(found.value.value, found.unit)


def _read_one(folder: Path, key: str) -> TargetRun:
    exported, judged = folder / "exported" / key, folder / "judged" / key
    measurement = Measurement.read(folder / "measured" / key)
    has_verdicts = (judged / Verdicts.file_name).exists()
    is_exported = (exported / Exported.file_name).exists()
    return TargetRun(
        target=measurement.target,
        exported=Exported.read(exported) if is_exported else None,
        measurement=measurement,
        verdicts=Verdicts.read(judged) if has_verdicts else None,
        folder=exported,
    )
