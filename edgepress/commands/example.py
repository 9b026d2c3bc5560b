"""`edgepress example`: an export as a folder that answers pictures without edgepress."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgepress.commands._exports import EXPORTED, export
from edgepress.example.write import ALONE, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("target", metavar="TARGET",
        help=f"key of a folder of {EXPORTED}/, or an export's folder; its runtime one of "
        f"{', '.join(ALONE)}")  # fmt: skip
    add("out", type=Path, metavar="OUT", help="folder to write; one that is there is refused")


def run(arguments: argparse.Namespace) -> int:
    """Write the folder whole or not at all and say what is in it; returns 0."""
    names = write(export(arguments.target), arguments.out)
    sys.stdout.write(f"{arguments.out}: {', '.join(names)}\n")
    sys.stdout.write(f"next: python {arguments.out}/predict.py IMAGE...\n")
    return 0
