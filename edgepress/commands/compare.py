"""`edgepress compare`: two finished runs side by side, on the same test items."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgepress.commands._finished import read
from edgepress.commands._revisions import restored
from edgepress.errors import UserError
from edgepress.params import lookup
from edgepress.records.measurement import Interval
from edgepress.records.record import write_atomically
from edgepress.report import words
from edgepress.validation.comparison import Comparison, Finished, Row, compare

_STYLES = {"better": "green", "worse": "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    each = "a project's folder, or a git revision or DVC experiment of this one (. is what is here)"
    parser.add_argument("first", metavar="A", help=each)
    parser.add_argument("second", metavar="B", help="what is compared with A, likewise")
    parser.add_argument(
        "--shared",
        action="store_true",
        help="where the test splits differ, compare on the items that are in both",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every score there too")


def run(arguments: argparse.Namespace) -> int:
    """Print and write the comparison; a worse run is an answer, not an error."""
    if arguments.json is not None and arguments.json.is_dir():
        raise UserError(f"--json {arguments.json}: is a folder; name a file")
    with ExitStack() as opened:
        first, second = (_open(name, opened) for name in (arguments.first, arguments.second))
        confidence = float(lookup(dict(second.params), "validate.confidence", second.name))
        found = compare(first, second, confidence, shared=arguments.shared)
    if arguments.json is not None:
        write_atomically(arguments.json, found.model_dump_json(indent=2) + "\n")
    _show(found)
    return 0


def _open(name: str, opened: ExitStack) -> Finished:
    folder = Path(name)
    if not folder.is_dir():
        folder = opened.enter_context(restored(name))
    return read(folder, name)


def _show(found: Comparison) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = Console()
    gated = found.rows[0]
    title = f"{words.heading(gated.score)} on {found.items} test items, "
    title += f"A {found.first}, B {found.second}"
    out.print(Text(title))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    share = round(100 * gated.second.confidence)
    unit = "points" if gated.unit == "share" else gated.unit
    for name in ("A", "B", f"B better by, {unit} ({share} %)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("B is", no_wrap=True)
    for row in found.rows:
        if row.score == gated.score:
            style = _STYLES.get(row.verdict, "")
            table.add_row(*map(Text, _cells(row)), Text(row.verdict, style=style))
    out.print(table)
    for note in found.notes:
        out.print(Text(note))
    _show_params(found, out)


def _cells(row: Row) -> tuple[str, str, str, str]:
    first, second = (words.score(each.value, row.unit) for each in (row.first, row.second))
    return row.model, first, second, _gain(row.gain, row.unit)


def _gain(gain: Interval | None, unit: str) -> str:
    if gain is None:
        return words.ABSENT
    if unit == "share":
        return f"{words.points(gain.value)} ({words.points(gain.low)} to {words.points(gain.high)})"
    return f"{gain.value:+.3g} ({gain.low:+.3g} to {gain.high:+.3g})"


def _show_params(found: Comparison, out: Any) -> None:
    from rich.text import Text

    if not found.params:
        out.print("No parameter differs.")
        return
    out.print("Parameters that differ, A -> B:")
    for each in found.params:
        out.print(Text(f"  {each.key}: {each.first} -> {each.second}"))
