"""Run every stage of dvc.yaml in order, each in a fork of one process that has the libraries.

`dvc repro` starts a process a stage and pays twenty times for importing torch; `make run`, which CI
runs too, is that. Here each stage still runs alone as `__main__`, so that one which loads code its
state does not know of is still refused, and `dvc commit` writes the same lock file afterwards.
"""

from __future__ import annotations

import gc
import importlib
import os
import runpy
import shlex
import sys

from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro

# Those that start no thread, for a fork has none of them.
LIBRARIES = ("torch", "torch.export._trace", "torch.onnx._internal.exporter._core")


def main() -> None:
    """Run the stages of the project in the working directory, then let DVC take what they left."""
    with Repo() as repo:
        commands = [shlex.split(stage.cmd) for stage in plan_repro(repo.index.graph)]
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # a collection in a fork would copy every page of the libraries
    for python, option, module, *arguments in commands:
        assert (python, option) == ("python", "-m")
        child = os.fork()
        if not child:
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            sys.exit()
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(f"{module} {' '.join(arguments)}: ended with {status}")
    with Repo() as repo:
        repo.commit(force=True)


if __name__ == "__main__":
    main()
