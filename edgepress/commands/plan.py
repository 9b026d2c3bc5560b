"""`edgepress plan`: which stages a run would execute now, why, and about how long that takes."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from edgepress.errors import UserError
from edgepress.params import read_yaml
from edgepress.planning.cost import Cost, Costs, Past
from edgepress.planning.due import Asked, Due, due
from edgepress.report.words import duration

PARAMS, GRAPH, LOCK, METRICS = map(Path, ("params.yaml", "dvc.yaml", "dvc.lock", "metrics"))
Row = tuple[Due, Cost]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: the plan is that of the working directory."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Print a row for every stage that would run, and the sum; nothing but `state/` is written."""
    del args
    params, graph = read_yaml(PARAMS), read_yaml(GRAPH)
    lock = _lock()
    dag = _start("dvc", "dag", "--dot")
    _answer(_start("stages.state"), "state")
    status = _start("dvc", "status", "--json")
    costs = Costs(params, Past(METRICS, lock))
    costs.count()
    asked = Asked(
        status=_status(_answer(status, "dvc status")),
        dot=_answer(dag, "dvc dag"),
        ran=set(lock.get("stages") or ()),
        order=list(graph.get("stages") or ()),
    )
    found, whole = due(asked)
    rows = [(each, costs.of(each.title)) for each in found]
    sys.stdout.write("".join(f"{line}\n" for line in _lines(rows, whole)))
    return 0


def _lock() -> dict[str, Any]:
    """Return dvc.lock; one that a kill cut off is as good as none, and a run mends it."""
    try:
        loaded = yaml.safe_load(LOCK.read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _start(*module: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *module]
    out = subprocess.PIPE
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    return subprocess.Popen(command, stdout=out, stderr=out, text=True, env=environment)


def _answer(process: subprocess.Popen[str], name: str) -> str:
    """Return what a process printed; its own last line is the refusal where it failed."""
    out, err = process.communicate()
    if process.returncode:
        said = [line for line in err.splitlines() if line.strip()] or ["ended without a word"]
        own = [line for line in said if line.startswith(("ERROR: ", f"{name}: "))] or said
        line = own[0].removeprefix("ERROR: ").removeprefix(f"{name}: ")
        raise UserError(f"{name}: {line}")
    return out


def _status(text: str) -> dict[str, Any]:
    loaded = json.loads(text or "{}")
    return loaded if isinstance(loaded, dict) else {}


def _lines(rows: Sequence[Row], whole: int) -> Iterator[str]:
    if not rows:
        yield f"Nothing to run: all {whole} stages are up to date."
        return
    table = [("stage", "about", "why", "known from"), *_folded(rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()
    sure = [row for row in rows if row[0].sure]
    unknown = sum(cost.seconds is None for _, cost in rows)
    said = f"{len(rows)} of {whole} stages, about {_sum(rows)} one after another here"
    if len(sure) < len(rows):
        said += f"; {_sum(sure)} if nothing that only follows has to run"
    if unknown:
        said += f"; {unknown} of them not counted in it"
    yield f"{said}. DVC restores what it has run before with the same inputs."


def _folded(rows: Sequence[Row]) -> Iterator[tuple[str, str, str, str]]:
    """Write variants of one stage that have one reason as one line."""
    for (stage, why, basis), some in groupby(rows, lambda r: (r[0].stage, r[0].why, r[1].basis)):
        group = list(some)
        many = len(group) > 1
        name = f"{stage} ({len(group)} variants)" if many else group[0][0].title
        yield name, _sum(group), why, basis


def _sum(rows: Sequence[Row]) -> str:
    known = [cost.seconds for _, cost in rows if cost.seconds is not None]
    return duration(sum(known)) if known or not rows else "?"
