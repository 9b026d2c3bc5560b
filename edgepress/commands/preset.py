"""`edgepress preset NAME`: merge presets/NAME.yaml into params.yaml, comments kept."""

from __future__ import annotations

import argparse
import difflib
import io
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, cast

from edgepress import recipes
from edgepress.errors import UserError, nearest
from edgepress.params import parse_yaml, read_yaml
from edgepress.recipes import BASE
from edgepress.records.record import write_atomically
from edgepress.sections import BOUNDS, EITHER, FREE, METHODS, problems

PARAMS = Path("params.yaml")
PRESETS = Path("presets")
DEFAULT = "digits"
"""The preset that says everything."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help=f"a file of {PRESETS}/, without .yaml")
    parser.add_argument("--write", action="store_true", help=f"write the result to {PARAMS}")


def run(args: argparse.Namespace) -> int:
    """Show what the preset changes; refuse a result that does not hold; write it if asked to."""
    read_yaml(PARAMS)
    before = PARAMS.read_text(encoding="utf-8")
    path = find(PRESETS, args.name)
    preset, default = read_yaml(path), PRESETS / f"{DEFAULT}.yaml"
    led = led_back(before, preset, read_yaml(default)) if default.is_file() else before
    after = merge(led, preset, str(path))
    found = problems(_load(after), f"{PARAMS} with {path}")
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UserError(found[0] + more)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), str(PARAMS), f"{PARAMS} with {path}", "", "", 0, ""
    )
    sys.stdout.write("".join(f"{line}\n" for line in lines) or f"{PARAMS} already says so\n")
    if args.write and after != before:
        write_atomically(PARAMS, after)
    return 0


def find(folder: Path, name: str) -> Path:
    """Return the preset's file; an unknown name lists the known ones and suggests the nearest."""
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise UserError(
            f"preset {name!r} is not one of {', '.join(known) or f'(none in {folder}/)'}"
            f"{nearest(name, known)}"
        )
    return folder / f"{name}.yaml"


def led_back(text: str, preset: dict[str, Any], default: dict[str, Any]) -> str:
    """Return `text` with the default's entries where the preset's keys would not fit its own.

    Presets change the default: keys of one do not fit another method than the default's unless they
    name it, and where the text names a recipe, its `base`, the keys to change are not there.
    """
    tree = _load(text)
    for key in METHODS:
        now, asked, first = (_at(each, key) for each in (tree, preset, default))
        method = asked and "method" not in asked and _method(now) != _method(first)
        if method or (now.get(BASE) is not None and BASE not in asked):
            section, *inner = key.split(".")
            text = merge(text, {section: {inner[0]: first} if inner else first}, DEFAULT)
    return text


def _at(tree: Any, key: str) -> dict[str, Any]:
    """Return the mapping at a dotted key; an empty one where there is none."""
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def merge(text: str, preset: dict[str, Any], where: str) -> str:
    """Return the YAML `text` with the preset's values in place, its comments and order kept.

    Mappings are merged key by key; one that names another `method` is replaced as a whole, and so
    are one whose recipe, its `base`, the preset does not name and a value that may be a word or a
    mapping; one that names another `base` loses what that recipe says. In the free sections
    (variants, exporters, budgets, bounds by precision or score) entries may be added, and null
    removes one. With another task the bounds of the last one's scores are gone.
    """
    yaml = _round_trip()
    tree = yaml.load(text)
    named = _method(preset.get("task"))
    gates = tree.get("gates")
    bounds = gates.get("min_score") if isinstance(gates, Mapping) else None
    if named not in (None, _method(tree.get("task"))) and isinstance(bounds, MutableMapping):
        bounds.clear()
    _merge(tree, preset, (), where)
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def _merge(
    tree: MutableMapping[str, Any], preset: dict[str, Any], path: tuple[str, ...], where: str
) -> None:
    entries = ".".join(path) in (*FREE, *BOUNDS)
    # What is checked key by key later may grow; elsewhere a key that is not there is a slip.
    grows = entries or path[:1] in {(name,) for name in FREE} or "method" in {*tree, *preset}
    other = "method" in preset and preset["method"] != tree.get("method")
    if other or (tree.get(BASE) is not None and BASE not in preset):
        # Emptied rather than exchanged: comments and blank lines that follow hang on the mapping.
        tree.clear()
    for key in _said_by(preset.get(BASE), where) if preset.get(BASE) != tree.get(BASE) else ():
        tree.pop(key, None)
    for key, value in preset.items():
        place = ".".join((*path, str(key)))
        old = tree.get(key)
        if key not in tree and not grows:
            known = list(map(str, tree))
            hint = nearest(str(key), known)
            raise UserError(f"{where}: {place}: unknown key; known are {', '.join(known)}{hint}")
        if value is None and entries:
            tree.pop(key, None)
        elif key in EITHER and key in tree and not _same(old, value):
            tree[key] = _in_line(value)
        elif isinstance(value, dict) and isinstance(old, MutableMapping):
            _merge(old, value, (*path, str(key)), where)
        elif isinstance(value, dict) != isinstance(old, MutableMapping) and key in tree:
            raise UserError(
                f"{where}: {place}: a mapping cannot take the place of a value, nor the reverse"
            )
        elif key not in tree or not _same(old, value):
            tree[key] = _in_line(value)


def _said_by(base: Any, where: str) -> Iterable[str]:
    """Return the keys of a named recipe, which it says unless the preset does."""
    return () if base is None else recipes.values(base, f"{where}: {BASE}")


def _method(entry: Any) -> Any:
    return entry.get("method") if isinstance(entry, Mapping) else None


def _same(old: Any, value: Any) -> bool:
    """Equal and of one type: a scalar that stays keeps the way it was written."""
    one_type = isinstance(old, type(value)) and isinstance(old, bool) == isinstance(value, bool)
    return one_type and bool(old == value)


def _in_line(value: Any) -> Any:
    """Write new mappings and lists in one line, as params.yaml does."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        mapping = CommentedMap((key, _in_line(item)) for key, item in value.items())
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(_in_line(item) for item in value)
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and ":" in value:
        return DoubleQuotedScalarString(value)  # DVC reads no bare colon inside of braces
    return value


def _load(text: str) -> dict[str, Any]:
    return cast(dict[str, Any], parse_yaml(text))


def _round_trip() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _null)
    return yaml


def _null(representer: Any, _: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
