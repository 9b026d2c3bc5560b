"""Due: the stages that DVC would run now, each with why, in the order they would run in.

DVC says what changed about a stage itself. What comes after one that runs may run as well: it
does if the other's outputs are no longer the same, which only the run can tell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NODE = re.compile(r'^"([^"]+)";$', re.MULTILINE)
_EDGE = re.compile(r'"([^"]+)" -> "([^"]+)"')
ALWAYS = "state"
"""The stage that runs first, always; it is no part of a plan."""
_STATE = f"{ALWAYS}/"


@dataclass(frozen=True)
class Due:
    """One execution that would run, or may."""

    title: str
    """As DVC writes it: stage or stage@key."""
    why: str
    sure: bool
    """False where it runs only if one before it gives another result."""

    @property
    def stage(self) -> str:
        """The stage's name alone."""
        return self.title.partition("@")[0]


@dataclass(frozen=True)
class Asked:
    """What DVC answered."""

    status: Mapping[str, Any]
    """`dvc status --json`: title -> what changed."""
    dot: str
    """`dvc dag --dot`."""
    ran: Collection[str]
    """Titles in dvc.lock."""
    order: Sequence[str]
    """Stages as dvc.yaml lists them."""


def due(asked: Asked) -> tuple[list[Due], int]:
    """Return what would run in its order, and how many executions there are in all."""
    needs = _needs(asked.dot)
    found: dict[str, Due] = {}
    for title in _sorted(needs, asked.order):
        before = [each for each in needs[title] if each in found]
        own = _why(asked.status.get(title, ()), before, asked)
        if title not in asked.ran:
            found[title] = Due(title, "has not run here", sure=True)
        elif own:
            found[title] = Due(title, own, sure=True)
        elif before:
            first = _shortest(before, found)
            found[title] = Due(title, f"if the result of {first} changes", sure=False)
    return list(found.values()), len(needs)


def _needs(dot: str) -> dict[str, set[str]]:
    needs: dict[str, set[str]] = {name: set() for name in _NODE.findall(dot)}
    for before, after in _EDGE.findall(dot):
        needs.setdefault(before, set())
        needs.setdefault(after, set()).add(before)
    stages = {n: up for n, up in needs.items() if n != ALWAYS and not n.endswith(".dvc")}
    return {name: {each for each in up if each in stages} for name, up in stages.items()}


def _sorted(needs: Mapping[str, set[str]], order: Sequence[str]) -> Iterator[str]:
    """Yield every title after what it needs, else as dvc.yaml lists them."""
    place = {name: index for index, name in enumerate(order)}
    waiting = sorted(needs, key=lambda title: place.get(title.partition("@")[0], len(place)))
    done: set[str] = set()
    while waiting:
        title = next(each for each in waiting if needs[each] <= done)
        waiting.remove(title)
        done.add(title)
        yield title


def _why(changes: Sequence[Any], before: Sequence[str], asked: Asked) -> str:
    """Say in words what changed about a stage itself; nothing where only its inputs will."""
    said = []
    for change in changes:
        if not isinstance(change, dict):
            said.append(str(change))
            continue
        for path, how in change.get("changed deps", {}).items():
            if isinstance(how, dict):
                said.append(f"{path}: {', '.join(how)}")
            elif path.startswith(_STATE):
                said.append("code, packages or files of yours changed")
            elif how != "deleted" or not before:
                said.append(f"{path} {how}")
        said += [f"{path} {how}" for path, how in change.get("changed outs", {}).items()]
        if "changed command" in change:
            said.append("its command changed")
    return "; ".join(dict.fromkeys(said))


def _shortest(before: Sequence[str], found: Mapping[str, Due]) -> str:
    """Name what would run before: the stages whose own change it is, not those that follow."""
    sure = [each for each in before if found[each].sure] or list(before)
    stages = dict.fromkeys(found[each].stage for each in sure)
    return " or ".join(sorted(stages))
