"""Typed parameters: one YAML file, validated at the door, refused with file, key and rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from edgepress.errors import UserError, nearest


class Config(BaseModel):
    """Base of every parameter model: frozen, no unknown keys, no silent coercion of types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


M = TypeVar("M", bound=BaseModel)


class _Safe(yaml.SafeLoader):
    """SafeLoader that reads `5e-4` and `1e-05` as numbers, as YAML 1.2 and DVC do."""


_Safe.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def parse_yaml(text: str) -> Any:
    """Return what YAML says, plain values only; a broken text is a yaml.YAMLError."""
    return yaml.load(text, Loader=_Safe)  # noqa: S506


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; a missing or broken file is a UserError that names it."""
    try:
        loaded = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: file not found") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: expected a mapping at the top, got {type(loaded).__name__}")
    return loaded


def lookup(tree: dict[str, Any], key: str, where: str) -> Any:
    """Return the value at a dotted key; an unknown key names its neighbours."""
    value: Any = tree
    seen: list[str] = []
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            known = sorted(map(str, value)) if isinstance(value, dict) else []
            place = ".".join(seen) or "the top level"
            raise UserError(
                f"{where}: '{part}' is missing under {place}; there are "
                f"{', '.join(known) or 'no keys'}{nearest(part, known)}"
            )
        value = value[part]
        seen.append(part)
    return value


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value below `name` with its dotted key; an empty mapping is a value."""
    if isinstance(value, dict) and value:
        for inner, below in value.items():
            yield from leaves(f"{name}.{inner}" if name else str(inner), below)
    else:
        yield name, value


def validate(model: type[M], raw: Any, where: str, key: str) -> M:
    """Build `model` from a raw mapping; each broken rule is a clause of a one-line UserError."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: {key}: expected a mapping, got {raw!r}")
    try:
        # JSON mode: strict about types, but a YAML list may become a tuple.
        return model.model_validate_json(_as_json(raw, where, key))
    except ValidationError as error:
        raise UserError(f"{where}: {'; '.join(_clauses(error, model, key, raw))}") from None


def _as_json(raw: dict[str, Any], where: str, key: str) -> str:
    import json

    try:
        return json.dumps(raw, allow_nan=True)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {key}: {error} (quote dates and other special values)") from None


def _clauses(error: ValidationError, model: type[BaseModel], key: str, raw: Any) -> list[str]:
    clauses = []
    for problem in error.errors():
        path = ".".join([key, *(str(part) for part in problem["loc"])])
        if problem["type"] == "extra_forbidden":
            known = _keys(model, problem["loc"][:-1], raw)
            name = str(problem["loc"][-1])
            clauses.append(f"{path}: unknown key; known: {', '.join(known)}{nearest(name, known)}")
        elif problem["type"] == "missing":
            clauses.append(f"{path}: missing")
        else:
            clauses.append(f"{path}: {problem['msg']} (got {problem['input']!r})")
    return clauses


def _keys(model: type[BaseModel], place: tuple[int | str, ...], raw: Any) -> list[str]:
    """Return the keys that the mapping at a place below `model`, as `raw` has it, may have."""
    for part in place:
        raw = raw.get(part) if isinstance(raw, dict) else None
        field = model.model_fields.get(str(part))
        kinds = () if field is None else (field.annotation, *get_args(field.annotation))
        marks = () if field is None else field.metadata
        # A field may hold a method of another room: its mark knows the one that is named.
        kinds += tuple(mark.model(raw) for mark in marks if hasattr(mark, "model"))
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        model = next((kind for kind in inner if _is_named(kind, raw)), inner[0] if inner else model)
    return list(model.model_fields)


def _is_named(model: type[BaseModel], raw: Any) -> bool:
    """Say whether a mapping names the method that `model` has the parameters of."""
    field = model.model_fields.get("method")
    return (
        field is not None
        and isinstance(raw, dict)
        and raw.get("method") in get_args(field.annotation)
    )
