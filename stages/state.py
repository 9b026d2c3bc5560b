"""State: what every stage's result depends on besides its data: `python -m stages.state`.

One small file per stage execution: a hash of the code it can import, the versions of the packages
that code uses, the processor where it changes the result, and a stamp of the user's own files. DVC
compares them like any other dependency, so that plain `dvc repro` sees every change.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepress.errors import UserError
from edgepress.params import lookup, read_yaml
from edgepress.records.record import write_atomically
from edgepress.state import inputs, tools
from edgepress.state.code import Execution, Tree
from stages.places import PARAMS, SOURCES, STATE
from stages.stage import Stage, main

GRAPH = Path("dvc.yaml")


def work(stage: Stage) -> None:
    """Write the state of every execution of dvc.yaml; files that say the same stay as they are."""
    written = set()
    for execution in executions(stage.tree):
        path = place(execution)
        text = json.dumps(describe(execution), indent=1) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
        written.add(path)
        execution.tree.remember()
    for path in sorted(STATE.rglob("*.json")):
        if path not in written:
            path.unlink()


def executions(params: dict[str, Any]) -> Iterator[Execution]:
    """Yield every execution of the graph but this one."""
    tree = Tree(memory=SOURCES)
    for name, entry in read_yaml(GRAPH).get("stages", {}).items():
        matrix = entry.get("matrix", {})
        for words in itertools.product(*(_values(each, params) for each in matrix.values())):
            if name != "state":
                yield Execution(name, "-".join(words) or None, params, tree)


def place(execution: Execution) -> Path:
    """Return the file of an execution's state."""
    folder = STATE if execution.key is None else STATE / execution.stage
    return folder / f"{execution.key or execution.stage}.json"


def describe(execution: Execution) -> dict[str, Any]:
    """Return the state of one execution."""
    says = execution.constants
    found: dict[str, Any] = {
        "code": execution.digest,
        "tools": tools.versions(execution.tree.outside(execution.modules)),
    }
    if "PROCESSOR" in says:
        found["processor"] = tools.processor(whole=says["PROCESSOR"] == "machine")
    if recipes := execution.recipes():
        found["recipes"] = recipes
    if settings := execution.settings():
        found["settings"] = settings
    if "FILES" in says:
        entries = (_entry(dict(execution.params), key) for key in says["FILES"])
        found["files"] = inputs.stamp(*entries)
    return found


def _entry(params: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping at a key that names files; null, or no such key, names none."""
    above, _, last = key.rpartition(".")
    section = lookup(params, above, str(PARAMS)) if above else params
    entry = (section or {}).get(last)
    if not isinstance(entry, dict | None):
        raise UserError(f"{PARAMS}: {key}: expected a mapping, got {entry!r}")
    return entry or {}


def _values(template: Any, params: dict[str, Any]) -> list[str]:
    """Return a matrix's words: `${places}` is a list of params.yaml."""
    if isinstance(template, str):
        name = template.removeprefix("${").removesuffix("}")
        template = lookup(params, name, str(PARAMS))
    if not isinstance(template, list):
        raise UserError(f"{GRAPH}: a matrix needs lists, got {template!r}")
    return [str(each) for each in template]


if __name__ == "__main__":
    main("state", work)
