"""Bench probe: a fresh process that loads a bare model's file, runs it, and says what that took.

Run as `python -m edgepress.validation.bench_probe FILE THREADS SHAPES`; the last line of its output
is JSON. A file that crashes its runtime takes this process with it and not the one that measures.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

from edgepress.errors import UserError
from edgepress.runtimes.bare import Shapes, load
from edgepress.validation.feed import random
from edgepress.validation.probe import peak_mb

_RUNS = 3


def probe(path: Path, threads: int, shapes: Shapes) -> dict[str, object]:
    """Load and run a file on random inputs; the answer's `status` is ran or failed."""
    idle = peak_mb()
    try:
        with closing(load(path, threads, shapes)) as model:
            inputs = random(model.inputs)
            for _ in range(_RUNS):
                model.run(inputs)
    except UserError as error:
        return {"status": "failed", "reason": str(error)}
    except Exception as error:  # Whatever a foreign runtime throws at a file is its verdict on it.
        reason = f"does not run: {type(error).__name__}: {error}"
        return {"status": "failed", "reason": reason[:500]}
    return {"status": "ran", "peak_mb": peak_mb(), "idle_mb": idle}


def main(arguments: list[str]) -> int:
    """Probe the file named on the command line and write the answer to standard output."""
    path, threads, shapes = arguments
    asked = {name: tuple(shape) for name, shape in json.loads(shapes).items()}
    answer = probe(Path(path), int(threads), asked)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
