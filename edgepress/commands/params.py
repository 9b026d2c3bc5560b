"""`edgepress params`: every section of params.yaml checked at once, before anything runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgepress.params import read_yaml
from edgepress.sections import problems

PARAMS = Path("params.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=PARAMS, help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Print one line per problem and return 2, or return 0 in silence."""
    found = problems(read_yaml(args.file), str(args.file))
    sys.stderr.write("".join(f"{line}\n" for line in found))
    return 2 if found else 0
