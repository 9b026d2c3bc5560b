"""`edgepress methods`: every method of every room, its summary and its parameters."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgepress import recipes
from edgepress.errors import UserError, nearest
from edgepress.methods import ROOMS, Method, module, names, summary

_LIMITS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
    "minLength": "length >=",
    "minItems": "items >=",
    "maxItems": "items <=",
    "pattern": "matches",
}


@dataclass(frozen=True)
class Parameter:
    """One field of a method's Params, as a user writes it in params.yaml."""

    name: str
    type: str
    """What may be written, with its range: 'integer >= 1', 'one of 4, 8'."""
    doc: str
    required: bool
    default: str | None = None
    """What holds where it is not written, as params.yaml has it; of a mapping see its own keys."""


@dataclass(frozen=True)
class MethodCard:
    """One method; without its back end `parameters` is None and `missing` says why."""

    room: str
    name: str
    summary: str
    parameters: tuple[Parameter, ...] | None = None
    missing: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    rooms = ", ".join([*ROOMS, recipes.ROOM])
    parser.add_argument("room", nargs="?", help=f"one of {rooms}: show parameters too")
    parser.add_argument("--json", action="store_true", help="everything, as one JSON list")


def run(args: argparse.Namespace) -> int:
    """Print the listing."""
    known = [*ROOMS, recipes.ROOM]
    if args.room is not None and args.room not in known:
        raise UserError(
            f"unknown room {args.room!r}{nearest(args.room, known)}; rooms are {', '.join(known)}"
        )
    rooms = known if args.room is None else [args.room]
    deep = args.json or args.room is not None
    entries = [
        describe(room, name, deep=deep) if room in ROOMS else _recipe(name, deep=deep)
        for room in rooms
        for name in (names(room) if room in ROOMS else recipes.known())
    ]
    if args.json:
        sys.stdout.write(json.dumps([asdict(entry) for entry in entries], indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(entries)) + "\n")
    return 0


def describe(room: str, name: str, *, deep: bool) -> MethodCard:
    """Describe one method; only `deep` imports it, and a missing back end is told, not raised."""
    line = summary(room, name)
    if not deep:
        return MethodCard(room, name, line)
    try:
        loaded = module(room, name)
    except ImportError as error:
        return MethodCard(room, name, line, missing=str(error))
    return MethodCard(room, name, line, parameters=parameters(loaded.Params))


def _recipe(name: str, *, deep: bool) -> MethodCard:
    """Describe a named recipe; `deep` has its keys, with their values as they are written."""
    held = recipes.values(name, "edgepress methods") if deep else {}
    keys = tuple(Parameter(key, json.dumps(value), "", True) for key, value in held.items())
    return MethodCard(recipes.ROOM, name, recipes.summary(name), parameters=keys)


def parameters(model: Any) -> tuple[Parameter, ...]:
    """Read the fields of a Params model from its JSON schema, `method` itself left out.

    The keys of a field that may be a mapping follow it, as `field.key`.
    """
    schema = model.model_json_schema()
    found = _fields(schema, schema.get("$defs", {}), "")
    # What a method of another room is by default is no JSON, and so not in the schema.
    given = {
        name: json.dumps(default.params.model_dump(mode="json"))
        for name, field in model.model_fields.items()
        if isinstance(default := field.get_default(call_default_factory=True), Method)
    }
    named = (replace(each, default=given.get(each.name, each.default)) for each in found)
    return tuple(each for each in named if each.name != "method")


def _fields(schema: dict[str, Any], known: dict[str, Any], before: str) -> Iterator[Parameter]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        doc = " ".join(field.get("description", "").split())
        default = json.dumps(field["default"]) if "default" in field else None
        yield Parameter(f"{before}{name}", _type(field), doc, name in required, default)
        for option in (field, *field.get("anyOf", ())):
            inner = known.get(option.get("$ref", "").rpartition("/")[2], {})
            yield from _fields(inner, known, f"{before}{name}.")


def _type(field: dict[str, Any]) -> str:
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return f"one of {', '.join(map(str, field['enum']))}"
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "$ref" in field or "allOf" in field:
        return "mapping"
    name = {"object": "mapping", "array": "list"}.get(
        field.get("type", ""), field.get("type", "any")
    )
    limits = [f"{sign} {field[rule]}" for rule, sign in _LIMITS.items() if rule in field]
    return " ".join([name, ", ".join(limits)]).strip()


def _lines(entries: list[MethodCard]) -> list[str]:
    lines: list[str] = []
    room = ""
    for entry in entries:
        if entry.room != room:
            room = entry.room
            lines += [""] * bool(lines) + [room]
        lines.append(f"  {entry.name:<20} {entry.summary}")
        if entry.missing:
            lines.append(f"      (not installed here: {entry.missing})")
        for parameter in entry.parameters or ():
            default = "" if parameter.default is None else f" (default {parameter.default})"
            optional = "" if parameter.required else f", optional{default}"
            doc = f". {parameter.doc}" if parameter.doc else ""
            lines.append(f"      {parameter.name}: {parameter.type}{optional}{doc}")
    return lines
