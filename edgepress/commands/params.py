"""`edgepress params`: every section of params.yaml checked at once, before anything runs.

`--expanded` prints what the file comes to, a value a line, so that two can be compared by `diff`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepress import recipes
from edgepress.methods import resolve
from edgepress.params import leaves, lookup, read_yaml
from edgepress.recipes import BASE
from edgepress.sections import METHODS, problems

PARAMS = Path("params.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=PARAMS, help="default: %(default)s")

    parser.add_argument(
        "--expanded", action="store_true", help="print all values, with those of named recipes"
    )


def run(args: argparse.Namespace) -> int:
    """Print one line per problem and return 2, or return 0, in silence or with all values."""
    tree = read_yaml(args.file)
    found = problems(tree, str(args.file))
    sys.stderr.write("".join(f"{line}\n" for line in found))
    if args.expanded and not found:
        sys.stdout.write("".join(f"{line}\n" for line in _values(tree, str(args.file))))
    return 2 if found else 0


def _values(tree: dict[str, Any], where: str) -> Iterator[str]:
    """Yield `key: value` for all of a sound file; of a recipe also what holds by its name."""
    for key, room in METHODS.items():
        above, _, last = key.rpartition(".")
        place = lookup(tree, above, where) if above else tree
        if place[last].get(BASE) is not None:
            params = resolve(room, place[last], where, key).params
            held = recipes.expanded(place[last], where)
            place[last] = {name: held[name] for name in held if name in type(params).model_fields}
    for name, value in leaves("", tree):
        yield f"{name}: {json.dumps(value, default=str)}"
