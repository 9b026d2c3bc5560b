"""The `edgepress` command: a light door; a subcommand's module is imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from edgepress.errors import UserError, nearest

COMMANDS: dict[str, str] = {
    "methods": "list the methods of every room and their parameters",
    "params": "check the whole of params.yaml at once",
    "plan": "say which stages a run would execute now, why, and about how long it takes",
    "preset": "show, check and write what a preset changes in params.yaml",
    "data": "convert a source of objects to the format of another tool",
    "doctor": "say which exporters, runtimes and devices work here",
    "sweep": "try values of params.yaml on train or distill, and give up what falls behind",
    "report": "say which file of the last run to ship, and print its table of targets and verdicts",
    "compare": "set two finished runs side by side, item by item",
    "bench": "time model files here, in turns, without a pipeline",
    "predict": "what an export says of pictures: in words, as JSON, drawn",
    "example": "write an export as a folder that answers pictures without edgepress",
    "embed": "turn images into embeddings, at any scale",
    "curate": "select the samples worth training on",
}
"""Command -> its help line; its module in `commands/` has add_arguments(parser) and run(args)."""


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return 0, or 2 after one line on what the user can fix."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in {"-h", "--help"}:
        sys.stdout.write(_overview())
        return 0
    title = "edgepress"
    try:
        module = _load(arguments[0])
        title = f"edgepress {arguments[0]}"
        parser = _Parser(prog=title, description=COMMANDS[arguments[0]])
        module.add_arguments(parser)
        code = module.run(parser.parse_args(arguments[1:]))
    except UserError as error:
        return _refuse(title, str(error))
    except BrokenPipeError:
        # The reader of a pipe has seen enough; keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        return _refuse(title, f"{error.filename}: {error.strerror}")
    return int(code or 0)


def _load(name: str) -> Any:
    if name not in COMMANDS:
        raise UserError(
            f"unknown command {name!r}{nearest(name, list(COMMANDS))}; "
            f"the commands are {', '.join(COMMANDS)}"
        )
    return importlib.import_module(f"edgepress.commands.{name}")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: edgepress COMMAND ...",
            "",
            "From labelled images to small models that are proven on the devices they run on.",
            "",
            *lines,
            "",
            "edgepress COMMAND --help says more.",
            "",
        ]
    )


def _refuse(title: str, message: str) -> int:
    sys.stderr.write(f"{title}: {message}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
