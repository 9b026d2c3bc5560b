"""What every stage is: argv and params.yaml in, outputs written whole or not at all."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import BaseModel

from edgepress.errors import PassingError, UserError
from edgepress.methods import Method, resolve
from edgepress.params import lookup, read_yaml, validate
from edgepress.records.record import write_atomically
from edgepress.state.code import PACKAGES, Execution, Tree
from edgepress.tasks.task import Task
from stages.places import METRICS, PARAMS, SCRATCH, SOURCES

M = TypeVar("M", bound=BaseModel)


class Stage:
    """One execution of one stage: its parameters in, its outputs and metrics out."""

    def __init__(self, name: str, key: str | None = None) -> None:
        """Read params.yaml of the working directory for stage `name`, variant `key`."""
        self.name = name
        self.key = key
        self.tree = read_yaml(PARAMS)
        self.follows = False
        """Whether another worker does the same and writes what comes of it."""
        self._metrics: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """The stage's name as DVC writes it: name or name@key."""
        return self.name if self.key is None else f"{self.name}@{self.key}"

    def raw(self, key: str) -> Any:
        """Return the raw value at a dotted key of params.yaml."""
        return lookup(self.tree, key, str(PARAMS))

    def section(self, model: type[M], key: str) -> M:
        """Validate the mapping at `key` as `model`."""
        return validate(model, self.raw(key), str(PARAMS), key)

    def method(self, room: str, key: str) -> Method:
        """Resolve the `{method: ...}` mapping at `key` in a room of the library."""
        return resolve(room, self.raw(key), str(PARAMS), key)

    def execution(self) -> Execution:
        """Return this execution as edgepress/state/code.py sees it."""
        return Execution(self.name, self.key, self.tree, Tree(memory=SOURCES))

    def task(self, classes: tuple[str, ...]) -> Task:
        """Open the task of params.yaml for these classes."""
        return Task.open(self.raw("task"), classes, str(PARAMS))

    @property
    def seed(self) -> int:
        """The run's one seed."""
        seed = self.raw("seed")
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise UserError(f"{PARAMS}: seed: expected an integer of 0 or more, got {seed!r}")
        return seed

    @contextmanager
    def output(self, final: Path) -> Iterator[Path]:
        """Yield a temporary folder or file name; it becomes `final` only if the block succeeds."""
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = final.with_name(f".{final.name}.partial")
        _remove(partial)
        try:
            yield partial
            _remove(final)
            partial.replace(final)
        finally:
            _remove(partial)

    def metrics(self, **values: float | int | dict[str, Any] | None) -> None:
        """Add numbers to metrics/<stage>.json, written when the stage ends well."""
        self._metrics.update(values)

    def finish(self) -> None:
        """Write metrics/<stage>[-key].json with the stage's own cost beside its numbers, if any."""
        if not self._metrics:
            return
        usage = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        # From the start of the process, so that imports count.
        seconds = time.time() - psutil.Process().create_time()
        cost = {"seconds": round(seconds, 2), "peak_memory_mb": usage // 1024}
        name = self.name if self.key is None else f"{self.name}-{self.key}"
        text = json.dumps({**self._metrics, "cost": cost}, indent=2, allow_nan=False)
        write_atomically(METRICS / f"{name}.json", text + "\n")


def main(
    name: str, work: Callable[[Stage], None], *, keyed: bool = False, locks: bool = True
) -> None:
    """Run `work` as stage `name`; a UserError or a full disk becomes one line and exit code 2.

    A PassingError becomes one line and exit code 75, which the flow tries again. Without `locks`
    another process holds the stage's lock for this one.
    """
    logging.basicConfig(level=os.environ.get("EDGEPRESS_LOG", "WARNING"), format="%(message)s")
    title = name
    try:
        key = _key(name, sys.argv[1:], keyed)
        title = name if key is None else f"{name}@{key}"
        stage = Stage(name, key)
        with _alone(title) if locks else nullcontext():
            work(stage)
            refuse_strangers(stage)
            stage.finish()
    except PassingError as error:
        sys.exit(_refuse(title, str(error), os.EX_TEMPFAIL))
    except UserError as error:
        sys.exit(_refuse(title, str(error)))
    except OSError as error:
        if error.errno not in _USERS_ERRNO:
            raise
        place = f" ({error.filename})" if error.filename else ""
        sys.exit(_refuse(title, f"{_USERS_ERRNO[error.errno]}{place}"))


def refuse_strangers(stage: Stage) -> None:
    """Refuse a result that depends on code which the stage's state does not know of."""
    spec = sys.modules["__main__"].__spec__
    if spec is None or spec.name != f"stages.{stage.name}":
        return  # another program's process holds more than this stage loaded
    execution = stage.execution()
    strangers = execution.strangers(list(sys.modules))
    brought = [name for name in strangers if name.partition(".")[0] not in PACKAGES]
    if brought:
        raise UserError(
            f"{', '.join(brought)} of this folder was imported under a computed name, so that no "
            "change of it would be seen; import it by name in the file of backbone.entry"
        )
    if strangers:
        raise RuntimeError(
            f"{stage.title} loaded {', '.join(strangers)}, which edgepress/state/code.py does not "
            f"find: name it in USES or MODULES of stages/{stage.name}.py"
        )


@contextmanager
def _alone(title: str) -> Iterator[None]:
    """Hold the stage's lock in this project; a second run of it meanwhile is refused."""
    path = SCRATCH / "locks" / title
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"this stage runs here already ({path}); wait for it, or end it, and run again"
            ) from None
        yield


_USERS_ERRNO = {
    28: "no space left on the device; free some and run again",
    30: "the file system is read-only; make it writable and run again",
    13: "permission denied; make the path writable and run again",
    122: "disk quota exceeded; free some and run again",
}


def _refuse(title: str, message: str, code: int = 2) -> int:
    sys.stderr.write(f"{title}: {message}\n")
    return code


def _key(name: str, arguments: list[str], keyed: bool) -> str | None:
    if len(arguments) != int(keyed):
        raise UserError(f"usage: python -m stages.{name}{' KEY' if keyed else ''}")
    return arguments[0] if keyed else None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
