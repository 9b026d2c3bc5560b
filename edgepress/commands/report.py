"""`edgepress report`: the last run's table of targets and verdicts."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgepress.params import lookup, read_yaml
from edgepress.report.summary import read, show

PARAMS = Path("params.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "targets",
        nargs="?",
        type=Path,
        default=Path("targets"),
        help="folder with measured/ and judged/, a folder per target in each "
        "(default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table of the targets of params.yaml; a failed gate is an answer, not an error."""
    show(read(arguments.targets, named(PARAMS)))
    return 0


def named(path: Path) -> list[str] | None:
    """Return the keys of the targets that a parameter file names; None without such a file."""
    if not path.is_file():
        return None
    tree = read_yaml(path)
    places, precisions = lookup(tree, "places", str(path)), lookup(tree, "precisions", str(path))
    return [f"{place}-{precision}" for place in places for precision in precisions]
