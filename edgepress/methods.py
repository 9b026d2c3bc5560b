"""The folder is the registry: a module with `Params` and its room's function is a method.

Nothing central is edited to add a method, and a method that is not named in params.yaml is never
imported.
"""

from __future__ import annotations

import ast
import functools
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from edgepress import recipes
from edgepress.errors import UserError, nearest
from edgepress.params import Config, validate

ROOMS: dict[str, str] = {
    "data.sources": "ingest",
    "encoders": "fit",
    "curation": "select",
    "tasks": "labels",
    "backbones": "build",
    "heads": "build",
    "training": "train",
    "training.optimizers": "build",
    "training.schedules": "rate",
    "training.losses": "terms",
    "training.samplers": "weigh",
    "training.engines": "run",
    "distillation": "distill",
    "pruning": "prune",
    "quantization": "quantize",
    "export": "export",
    "runtimes": "load",
}
"""Room -> the one function every method of that room defines."""

FILES: dict[str, str] = {"tasks": "labels"}
"""Room whose methods are folders -> the file of each that has `Params` and the function."""

PARTS: dict[str, str] = {
    "optimizer": "training.optimizers",
    "schedule": "training.schedules",
    "loss": "training.losses",
    "sampler": "training.samplers",
    "engine": "training.engines",
}
"""Key of a method's own entry that names a method in its turn -> the room of that."""

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Method:
    """A method ready to call: its module and its validated parameters."""

    room: str
    name: str
    module: ModuleType
    params: Config

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the room's function with the method's parameters as keyword `params`."""
        return getattr(self.module, ROOMS[self.room])(*args, params=self.params, **kwargs)


@dataclass(frozen=True)
class Choice:
    """Marks a field of a Params whose value is a method of a room, `Annotated[Method, Choice]`."""

    room: str
    optional: bool = False
    """Whether null is a value too."""

    def model(self, raw: Any) -> type[Config] | None:
        """Return the Params that a raw entry names, if it names one."""
        name = raw.get("method") if isinstance(raw, dict) else None
        known = isinstance(name, str) and name in names(self.room)
        return cast(type[Config], module(self.room, str(name)).Params) if known else None

    def read(self, raw: Any) -> Method | None:
        """Return the method of a raw entry; errors name the key inside it."""
        if isinstance(raw, Method) or (raw is None and self.optional):
            return raw
        if not isinstance(raw, dict):
            raise ValueError("expected a mapping with a 'method' name")
        model = self.model(raw)
        if model is None:
            raise _unknown(raw, names(self.room))
        name = str(raw["method"])
        return Method(self.room, name, module(self.room, name), _held(model, raw))

    def __get_pydantic_core_schema__(self, *_: Any) -> core_schema.CoreSchema:
        """Read the field by `read`."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, *_: Any) -> dict[str, Any]:
        """Say that a mapping is expected."""
        mapping = {"type": "object"}
        return {"anyOf": [mapping, {"type": "null"}]} if self.optional else mapping


def names(room: str) -> list[str]:
    """List a room's methods by reading its files; nothing is imported."""
    folder = _PACKAGE.joinpath(*room.split("."))
    files = [*folder.glob("*.py"), *folder.glob(f"*/{FILES.get(room, '-')}.py")]
    return sorted(_name(room, path) for path in files if _is_method(path, ROOMS[room]))


def summary(room: str, name: str) -> str:
    """Return the first line of a method's module docstring without importing it."""
    path = _PACKAGE.joinpath(*room.split("."), *_file(room, name)).with_suffix(".py")
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return (doc or "").strip().split("\n")[0]


def module(room: str, name: str, where: str = "methods") -> ModuleType:
    """Import one method's module; an unknown name lists the known ones and suggests the nearest."""
    known = names(room)
    if name not in known:
        raise UserError(f"{where}: {name!r} is not one of {', '.join(known)}{nearest(name, known)}")
    return importlib.import_module(".".join(["edgepress", room, *_file(room, name)]))


def exporter_of(runtime: str, where: str) -> str:
    """Return the exporter whose files a runtime loads, as its module says, without importing it."""
    known = names("runtimes")
    if runtime not in known:
        raise UserError(
            f"{where}: runtime {runtime!r} is not one of {', '.join(known)}"
            f"{nearest(runtime, known)}"
        )
    path = _PACKAGE / "runtimes" / f"{runtime}.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXPORTER":
            return str(ast.literal_eval(node.value))
    raise ValueError(f"{path}: names no EXPORTER")


def resolve(room: str, raw: Any, where: str, key: str) -> Method:
    """Turn a raw `{method: name, ...}` entry of `where` at `key` into a validated Method."""
    if not isinstance(raw, dict) or not isinstance(raw.get("method"), str):
        raise UserError(f"{where}: {key}: expected a mapping with a 'method' name, got {raw!r}")
    name = raw["method"]
    loaded = module(room, name, f"{where}: {key}.method")
    model = cast(type[Config], loaded.Params)
    params = validate(model, _spelt_out(raw, model, f"{where}: {key}"), where, key)
    return Method(room, name, loaded, params)


def _spelt_out(raw: dict[str, Any], model: type[Config], place: str) -> dict[str, Any]:
    """Return an entry with what its named recipe says of the keys that the method has."""
    if recipes.BASE not in model.model_fields:
        return raw
    whole = recipes.expanded(raw, place)
    return {key: value for key, value in whole.items() if key in raw or key in model.model_fields}


def _held(model: type[Config], raw: dict[str, Any]) -> Config:
    # As JSON, so that a list may become a tuple and nothing else is coerced.
    return model.model_validate_json(json.dumps(raw))


def _unknown(raw: dict[str, Any], known: list[str]) -> ValidationError:
    """Return the error of an entry whose method is not there, at its key `method`."""
    name = raw.get("method")
    said = f"expected one of {', '.join(known)}{nearest(str(name), known)}"
    kind = PydanticCustomError("method", said)
    return ValidationError.from_exception_data(
        "method", [InitErrorDetails(type=kind, loc=("method",), input=name)]
    )


def _file(room: str, name: str) -> tuple[str, ...]:
    return (name, FILES[room]) if room in FILES else (name,)


def _name(room: str, path: Path) -> str:
    return path.parent.name if room in FILES else path.stem


def _is_method(path: Path, function: str) -> bool:
    return not path.stem.startswith("_") and {"Params", function} <= _defined(
        path, path.stat().st_mtime_ns
    )


@functools.cache
def _defined(path: Path, changed: int) -> frozenset[str]:  # noqa: ARG001
    """Return the names of a file's classes and functions; `changed` is its time, for the cache."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef))
