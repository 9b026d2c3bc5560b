"""`edgepress bench`: how long model files take here, measured as validation does it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from PIL import Image

from edgepress.commands._outputs import refuse_unwritable
from edgepress.data.picture import UnusableError
from edgepress.data.walk import LeftOut, images
from edgepress.errors import UserError
from edgepress.params import validate
from edgepress.prediction.answered import opened
from edgepress.progress import Progress, silent
from edgepress.records.benched import Benched, BenchedModel
from edgepress.records.measurement import Conditions, Interval
from edgepress.records.record import write_atomically
from edgepress.runtimes.bare import RUNTIMES
from edgepress.validation.bench import Asked, bench
from edgepress.validation.latency import Plan
from edgepress.validation.timing import Timing

_HEADINGS = ("model", "MB", "p50 ms", "p90 ms", "p99 ms", "speed-up", "peak MB")
_PICTURES = 64
"""Of --data at most so many are held and run by turns."""
_SHAPE = re.compile(r"(?P<name>.+)=(?P<sizes>[1-9]\d*(,[1-9]\d*)*)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    known = ", ".join(RUNTIMES)
    add("models", nargs="+", type=Path, metavar="MODEL",
        help=f"files of {known}; the speed-up of each is over the first")  # fmt: skip
    add("--data", type=Path, metavar="DIR",
        help=f"run this folder's first {_PICTURES} pictures, not random inputs")  # fmt: skip
    add("--shape", action="append", default=[], metavar="NAME=1,3,224,224",
        help="shape of an input that the file leaves open; once for each")  # fmt: skip
    add("--threads", type=int, default=1, help="threads one run may use (default %(default)s)")
    add("--runs", type=int, default=400,
        help="timed runs of each; p99 needs 368 or more (default %(default)s)")  # fmt: skip
    add("--warmup", type=int, default=20,
        help="runs per warm-up window, until one is no faster (default %(default)s)")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write all figures with their conditions")


def run(arguments: argparse.Namespace) -> int:
    """Measure all files in turns and print a table; returns 0."""
    raw = {name: getattr(arguments, name) for name in ("warmup", "runs", "threads")}
    timing = validate(Timing, {**raw, "confidence": 0.95}, "command line", "option")
    if arguments.json is not None:
        refuse_unwritable("--json", arguments.json)
    shapes = dict(_shape(text) for text in arguments.shape)
    asked = Asked(shapes)
    if arguments.data is not None:
        asked = Asked(shapes, list(_pictures(arguments.data)), str(arguments.data))
    with _told() as progress:
        found = bench(arguments.models, asked, Plan(timing, seed=0, progress=progress))
    if arguments.json is not None:
        write_atomically(arguments.json, found.model_dump_json(indent=2) + "\n")
    _show(found)
    return 0


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise UserError(f"--shape {text}: expected a name and sizes, such as image=1,3,224,224")
    return found["name"], tuple(int(size) for size in found["sizes"].split(","))


def _pictures(folder: Path) -> Iterator[Image.Image]:
    """Yield the first pictures of a folder that can be read; none is a UserError."""
    if not folder.is_dir():
        raise UserError(f"--data {folder}: no such folder")
    left_out = LeftOut()
    held = 0
    for path in islice(images(folder, left_out), _PICTURES):
        try:
            _, picture = opened(path)
        except UnusableError:
            left_out.note("unusable", path)
            continue
        held += 1
        yield picture
    if not held:
        aside = f" (left out: {left_out})" if left_out.counts else ""
        raise UserError(f"--data {folder}: holds no picture{aside}")


@contextmanager
def _told() -> Iterator[Progress]:
    """Yield what writes one line over and over on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield silent
        return

    def tell(what: str, done: int, total: int, note: str = "", /) -> None:
        far = f", {done:,} of {total:,}" if total else ""
        sys.stderr.write(f"\r{f'{what}{far} {note}':<79}")
        sys.stderr.flush()

    try:
        yield tell
    finally:
        sys.stderr.write(f"\r{'':<79}\r")


def _show(found: Benched) -> None:
    rows = [_HEADINGS, *map(_row, found.models)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    first = found.models[0]
    inputs = "; or ".join(dict.fromkeys(_inputs(each) for each in found.models))
    worst = max(each.latency.disturbed for each in found.models)
    sys.stdout.write(
        f"\n{inputs}; {found.data} inputs; {first.latency.runs} runs each in turns on ten fresh "
        f"loads, after warm-up; intervals of 95 %; {worst:.0%} of rounds disturbed and timed "
        f"again\n{_conditions(found.conditions, first.latency.threads)}\n"
    )


def _inputs(model: BenchedModel) -> str:
    return ", ".join(f"{name} {what}" for name, what in model.inputs.items())


def _row(model: BenchedModel) -> tuple[str, ...]:
    took = model.latency
    return (
        model.file,
        f"{model.bytes / 1e6:.2f}",
        _interval(took.p50_ms),
        _interval(took.p90_ms),
        "too few runs" if took.p99_ms is None else _interval(took.p99_ms),
        "1" if took.speedup is None else _interval(took.speedup),
        "" if model.peak_memory_mb is None else f"{model.peak_memory_mb:.0f}",
    )


def _interval(value: Interval) -> str:
    return f"{value.value:.3g} ({value.low:.3g} to {value.high:.3g})"


def _conditions(here: Conditions, threads: int) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in here.tools.items())
    parts = [
        here.machine,
        f"{here.cores} cores, {threads} thread(s) used",
        " ".join(here.isa_flags),
        f"load average {here.load_average:g}",
        f"{here.cpu_mhz:g} MHz" if here.cpu_mhz else "",
        "throttled" if here.throttled else "",
        "EMULATED: these times say nothing" if here.emulated else "",
        tools,
    ]
    return "; ".join(part for part in parts if part)
