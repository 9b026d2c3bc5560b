"""Named recipes: what `base: NAME` in an entry of params.yaml stands for.

Each is a file of training/recipes/: keys and values as params.yaml has them, the first comment says
what it is for. What an entry writes itself holds before them, key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgepress.errors import UserError, nearest
from edgepress.params import read_yaml

BASE = "base"
ROOM = "training.recipes"
_FOLDER = Path(__file__).parent / "training" / "recipes"


def known() -> list[str]:
    """Return the names of all recipes."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def summary(name: str) -> str:
    """Return the comment that a recipe begins with, as one line."""
    lines = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    said = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return " ".join(said)


def values(name: Any, where: str) -> dict[str, Any]:
    """Return the keys of a recipe; an unknown name lists the known ones."""
    names = known()
    if name not in names:
        raise UserError(
            f"{where}: {name!r} is not one of {', '.join(names)}{nearest(str(name), names)}"
        )
    return read_yaml(_FOLDER / f"{name}.yaml")


def expanded(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return an entry with the keys of the recipe it names, if it names one."""
    if entry.get(BASE) is None:
        return dict(entry)
    return {**values(entry[BASE], f"{where}.{BASE}"), **entry}


def written_out(tree: Any) -> Any:
    """Return params.yaml's tree with all that the recipes say which entries in it name.

    For people to compare: keys that an entry's method has not are among them, and a name that is
    not known, of another version perhaps, stays as it is.
    """
    if not isinstance(tree, Mapping):
        return tree
    held = dict(tree)
    if held.get(BASE) in known():
        held = {**values(held[BASE], BASE), **held}
    return {key: written_out(value) for key, value in held.items()}
