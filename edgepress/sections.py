"""`edgepress params`: every section of params.yaml checked at once, before anything runs."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from edgepress.errors import UserError, nearest
from edgepress.methods import module, names, resolve
from edgepress.params import Config, lookup, read_yaml, validate
from edgepress.records.target import Target

PARAMS = Path("params.yaml")

METHODS: dict[str, str] = {
    "ingest.source": "data.sources",
    "embed": "curation.encoders",
    "curate": "curation",
    "train.backbone": "backbones",
    "train.recipe": "training",
    "distill.backbone": "backbones",
    "distill.recipe": "distillation",
    "slim": "pruning",
}
"""Key of a `{method: ...}` entry -> the room its method lives in."""

MODELS: dict[str, str] = {
    "ingest": "edgepress.data.ingestion:Rules",
    "check": "edgepress.data.rules:Limits",
    "input": "edgepress.records.inputs:InputSpec",
    "validate": "edgepress.devices.protocol:Protocol",
    "gates": "edgepress.devices.gates:Gates",
    "register": "edgepress.sections:Registry",
}
"""Key of a section -> module:class of its model; entries of METHODS inside it are left out."""

FREE = ("quantize", "export", "targets")
"""Sections whose keys are the user's own: variants, exporters in use, targets."""

BOUNDS = "gates.min_cosine"
"""The one mapping below that has a key for each precision."""

SECTIONS = (
    "project",
    "seed",
    *dict.fromkeys(key.split(".")[0] for key in (*METHODS, *MODELS)),
    *FREE,
)


class Route(Config):
    """How a target is reached: the words of its key apart, as dvc.yaml needs them, and the rest."""

    runtime: str
    """The second word of the key."""
    precision: str
    """The third word of the key, an entry of the section `quantize`."""
    export: str
    """An entry of the section `export`."""
    baseline: str
    """A key of `targets`; itself for the baseline."""


class Registry(Config):
    """Where released models are kept."""

    tracking_uri: str = Field(min_length=1)
    """MLflow's address, for example sqlite:///mlflow.db; MLFLOW_TRACKING_URI overrides it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=PARAMS, help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Print one line per problem and return 2, or return 0 in silence."""
    found = problems(read_yaml(args.file), str(args.file))
    sys.stderr.write("".join(f"{line}\n" for line in found))
    return 2 if found else 0


def problems(tree: dict[str, Any], where: str) -> list[str]:
    """Return one line for each broken rule of a whole parameter file; none when all hold."""
    found = []
    for check in _checks(tree, where):
        try:
            check()
        except UserError as error:
            found.append(str(error))
        except ImportError as error:
            if (error.name or "").startswith("edgepress"):
                raise
            found.append(f"{where}: a method named there is not installed here: {error}")
    return found


def _checks(tree: dict[str, Any], where: str) -> Iterator[Callable[[], object]]:
    for key in [*SECTIONS, *(key for key in tree if key not in SECTIONS)]:
        yield partial(_known, tree, str(key), where)
    if "seed" in tree:
        yield partial(_seed, tree["seed"], where)
    for key in MODELS:
        if key in tree:
            yield partial(_model, tree, key, where)
    for key, room in METHODS.items():
        if key.split(".")[0] in tree:
            yield partial(_method, tree, key, room, where)
    for section, check in (("quantize", _variant), ("export", _exporter), ("targets", _target)):
        for key in _entries(tree, section):
            yield partial(check, tree, key, where)


def _entries(tree: dict[str, Any], section: str) -> dict[str, Any]:
    value = tree.get(section)
    return value if isinstance(value, dict) else {}


def _known(tree: dict[str, Any], key: str, where: str) -> None:
    if key not in SECTIONS:
        raise UserError(f"{where}: {key}: unknown section{nearest(key, list(SECTIONS))}")
    if key not in tree:
        raise UserError(f"{where}: {key}: missing")
    if key in FREE and not _entries(tree, key):
        raise UserError(f"{where}: {key}: expected at least one entry, got {tree[key]!r}")


def _seed(value: Any, where: str) -> None:
    if type(value) is not int or value < 0:
        raise UserError(f"{where}: seed: expected an integer of 0 or more, got {value!r}")


def _model(tree: dict[str, Any], key: str, where: str) -> None:
    module, _, name = MODELS[key].partition(":")
    model = cast(type[Config], getattr(importlib.import_module(module), name))
    raw = tree[key]
    if isinstance(raw, dict):
        inner = {path.split(".")[1] for path in METHODS if path.startswith(f"{key}.")}
        raw = {name: value for name, value in raw.items() if name not in inner}
    validate(model, raw, where, key)


def _method(tree: dict[str, Any], key: str, room: str, where: str) -> None:
    resolve(room, lookup(tree, key, where), where, key)


def _variant(tree: dict[str, Any], precision: str, where: str) -> None:
    _method(tree, f"quantize.{precision}", "quantization", where)
    bounds = _entries(tree, "gates").get("min_cosine")
    if isinstance(bounds, dict) and precision not in bounds:
        raise UserError(f"{where}: {BOUNDS}: no bound for the precision {precision!r}; add one")


def _exporter(tree: dict[str, Any], name: str, where: str) -> None:
    raw = tree["export"][name]
    if not isinstance(raw, dict):
        raise UserError(f"{where}: export.{name}: expected a mapping, got {raw!r}")
    module("export", name, f"{where}: export")
    resolve("export", {**raw, "method": name}, where, f"export.{name}")


def _target(tree: dict[str, Any], key: str, where: str) -> None:
    place = f"{where}: targets.{key}"
    route = validate(Route, tree["targets"][key], where, f"targets.{key}")
    try:
        target = Target.parse(key)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    for name, word in (("runtime", target.runtime), ("precision", target.precision)):
        if getattr(route, name) != word:
            given = getattr(route, name)
            raise UserError(f"{place}: {name} {given!r} is not the key's own word {word!r}")
    for name, known in (
        ("export", _entries(tree, "export")),
        ("baseline", _entries(tree, "targets")),
        ("runtime", names("runtimes")),
        ("precision", _entries(tree, "quantize")),
    ):
        word, choices = getattr(route, name), list(map(str, known))
        if word not in choices:
            hint = nearest(word, choices)
            raise UserError(f"{place}: {name} {word!r} is not one of {', '.join(choices)}{hint}")
