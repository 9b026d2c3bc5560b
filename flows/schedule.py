"""The graph of stages as DVC knows it, and which of them may start next."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

_NODE = re.compile(r'^"(?P<node>[^"]+)";$')
_EDGE = re.compile(r'^"(?P<upstream>[^"]+)" -> "(?P<stage>[^"]+)";$')


class GraphError(RuntimeError):
    """DVC could not read its own pipeline; the message is its own, in one line."""


@dataclass(frozen=True)
class Graph:
    """Stage names with the stages each one needs, in DVC's spelling (`export@target`)."""

    needs: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls) -> Graph:
        """Ask `dvc` for the graph of the working directory."""
        return cls.parse(_dvc("dag", "--dot"))

    @classmethod
    def parse(cls, dot: str) -> Graph:
        """Read the graph from `dvc dag --dot`, leaving out data files tracked by `dvc add`."""
        needs: dict[str, set[str]] = {}
        for line in dot.splitlines():
            if node := _NODE.match(line):
                needs.setdefault(node["node"], set())
            elif edge := _EDGE.match(line):
                needs.setdefault(edge["stage"], set()).add(edge["upstream"])
        files = {node for node in needs if node.endswith(".dvc")}
        return cls({s: frozenset(up - files) for s, up in needs.items() if s not in files})

    def only(self, patterns: Collection[str]) -> Graph:
        """Keep the stages whose name matches a pattern; what they need is taken to be there."""
        kept = {s for s in self.needs if any(fnmatchcase(s, pattern) for pattern in patterns)}
        return Graph({stage: self.needs[stage] & kept for stage in self.needs if stage in kept})


@dataclass
class Schedule:
    """Which stages may start now: needs met, room left, and an exclusive stage always alone."""

    graph: Graph
    places: int
    """Stages that may run at a time."""
    exclusive: str
    """Pattern of the stages that run with nothing beside them, because they measure time."""
    waiting: set[str] = field(init=False)
    running: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Start with every stage waiting."""
        self.waiting = set(self.graph.needs)

    def start(self) -> list[str]:
        """Return the stages to start now and count them as running."""
        ready = sorted(s for s in self.waiting if self.graph.needs[s] <= self.done)
        shared = [stage for stage in ready if not fnmatchcase(stage, self.exclusive)]
        if any(fnmatchcase(stage, self.exclusive) for stage in self.running):
            chosen = []
        elif shared or self.running:
            chosen = shared[: self.places - len(self.running)]
        else:
            chosen = ready[:1]
        self.running.update(chosen)
        self.waiting.difference_update(chosen)
        return chosen

    def finish(self, stage: str, *, ok: bool) -> None:
        """Count a running stage as done, or as failed: what depends on it will never start."""
        self.running.remove(stage)
        if ok:
            self.done.add(stage)

    @property
    def blocked(self) -> list[str]:
        """Stages that never started."""
        return sorted(self.waiting)


def _dvc(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = " ".join(done.stderr.split())
        raise GraphError(words or f"dvc {arguments[0]} exited with {done.returncode}")
    return done.stdout
