"""Sections: every rule of params.yaml, checked at once before anything runs."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

from pydantic import Field

from edgepress.errors import UserError, nearest
from edgepress.methods import exporter_of, module, resolve
from edgepress.params import Config, lookup, validate
from edgepress.records.target import Target

METHODS: dict[str, str] = {
    "ingest.source": "data.sources",
    "task": "tasks",
    "embed": "encoders",
    "curate": "curation",
    "train.backbone": "backbones",
    "train.head": "heads",
    "train.recipe": "training",
    "distill.backbone": "backbones",
    "distill.head": "heads",
    "distill.recipe": "distillation",
    "slim": "pruning",
}
"""Key of a `{method: ...}` entry -> the room its method lives in."""

MODELS: dict[str, str] = {
    "ingest": "edgepress.data.ingestion:Rules",
    "check": "edgepress.data.rules:Limits",
    "input": "edgepress.records.inputs:InputSpec",
    "validate": "edgepress.validation.timing:Timing",
    "gates": "edgepress.validation.gates:Gates",
    "register": "edgepress.sections:Registry",
}
"""Key of a section -> module:class of its model; entries of METHODS inside it are left out."""

TRAINED: dict[str, tuple[str, ...]] = {
    name: ("backbone", "head", "recipe", "weights") for name in ("train", "distill")
}
"""Section of a network -> its keys, of which `weights` may be null or left out."""

FREE = ("quantize", "export", "budgets")
"""Sections whose keys are the user's own: variants, exporters in use, places with bounds."""

BOUNDS = ("gates.max_error", "gates.min_agreement", "gates.min_score")
"""Mappings whose keys are the user's own: precisions, scores."""

EITHER = ("augment", "class_weights", "fit", "freeze", "group", "inside", "loss", "weights")
"""Keys whose value is a word, or null, or a mapping."""

SECTIONS = (
    "project",
    "seed",
    *dict.fromkeys(key.split(".")[0] for key in (*METHODS, *MODELS)),
    *FREE,
    "places",
    "precisions",
    "baseline",
)

_TAUGHT = ("train", "distill")
"""Sections of the teacher and of the student."""
_PROJECT = re.compile(r"[\w.-]+")


class Registry(Config):
    """Where released models are kept."""

    tracking_uri: str = Field(min_length=1)
    """MLflow's address, for example sqlite:///mlflow.db; MLFLOW_TRACKING_URI overrides it."""


def project_name(value: Any, where: str) -> str:
    """Return the project's name if the registry can take it, else raise a UserError."""
    if not isinstance(value, str) or not _PROJECT.fullmatch(value):
        raise UserError(
            f"{where}: project: {value!r} may hold letters, digits, _ . - only; choose such a name"
        )
    return value


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
    for key, rule in (("seed", _seed), ("project", project_name)):
        if key in tree:
            yield partial(rule, tree[key], where)
    yield from (partial(_keys, tree, key, where) for key in TRAINED if key in tree)
    for key, room in METHODS.items():
        yield partial(_asked, tree, key, room, where)
    yield from (partial(_model, tree, key, where) for key in MODELS if key in tree)
    for key, room in METHODS.items():
        if key.split(".")[0] in tree:
            yield partial(_method, tree, key, room, where)
    for section, check in (("quantize", _variant), ("export", _exporter), ("budgets", _budget)):
        yield from (partial(check, tree, str(key), where) for key in _entries(tree, section))
    for needed, held in (
        ({"places", "precisions", "baseline"}, _targets),
        ({"gates", "task"}, _min_scores),
        ({"input", "task"}, _fitted),
        ({"train", "input", "task"}, partial(_network, section="train")),
        ({"distill", "input", "task"}, partial(_network, section="distill")),
        ({"train"}, _learnt),
        ({"train", "distill"}, _taught),
        ({"embed", "input"}, _encoder),
        ({"embed", "curate"}, _embedded),
    ):
        if needed <= set(tree):
            yield partial(held, tree, where)


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


def _keys(tree: dict[str, Any], key: str, where: str) -> None:
    """Hold the keys of a network's section: one that is misspelt would be read by nobody."""
    known = list(TRAINED[key])
    for name in map(str, _entries(tree, key)):
        if name not in known:
            raise UserError(
                f"{where}: {key}.{name}: unknown key; known: {', '.join(known)}"
                f"{nearest(name, known)}"
            )


def _method(tree: dict[str, Any], key: str, room: str, where: str) -> None:
    resolve(room, lookup(tree, key, where), where, key)


def _variant(tree: dict[str, Any], precision: str, where: str) -> None:
    _method(tree, f"quantize.{precision}", "quantization", where)
    for name in ("max_error", "min_agreement"):
        bounds = _entries(tree, "gates").get(name)
        if isinstance(bounds, dict) and precision not in bounds:
            raise UserError(
                f"{where}: gates.{name}: no bound for the precision {precision!r}; add one"
            )


def _exporter(tree: dict[str, Any], name: str, where: str) -> None:
    raw = tree["export"][name]
    if not isinstance(raw, dict):
        raise UserError(f"{where}: export.{name}: expected a mapping, got {raw!r}")
    module("export", name, f"{where}: export")
    resolve("export", {**raw, "method": name}, where, f"export.{name}")


def _budget(tree: dict[str, Any], place: str, where: str) -> None:
    """Hold a place's bounds, with the default's where it has none of its own."""
    from edgepress.validation.gates import Budget

    budgets = tree["budgets"]
    known = ["default", *map(str, tree.get("places") or ())]
    if place not in known:
        raise UserError(f"{where}: budgets.{place}: no such place{nearest(place, known)}")
    if not all(isinstance(each, dict) for each in (budgets.get("default"), budgets[place])):
        raise UserError(f"{where}: budgets: expected a mapping for {place} and one for default")
    validate(Budget, {**budgets["default"], **budgets[place]}, where, f"budgets.{place}")


def _targets(tree: dict[str, Any], where: str) -> None:
    """Hold places and precisions: every pair is a target, whose key says what it is."""
    for key in ("places", "precisions"):
        value = tree[key]
        if not isinstance(value, list) or not value or len(set(map(str, value))) < len(value):
            raise UserError(f"{where}: {key}: expected a list without repeats, got {value!r}")
    for precision in tree["precisions"]:
        known = list(map(str, _entries(tree, "quantize")))
        if str(precision) not in known:
            hint = nearest(str(precision), known)
            raise UserError(
                f"{where}: precisions: {precision!r} is not one of {', '.join(known)}{hint}"
            )
    if tree["baseline"] not in tree["precisions"]:
        raise UserError(f"{where}: baseline: {tree['baseline']!r} is not one of the precisions")
    for place in tree["places"]:
        try:
            target = Target.parse(f"{place}-{tree['baseline']}")
        except UserError:
            raise UserError(
                f"{where}: places: {place!r}: expected device-runtime in lower case, for example "
                "x86_64-onnxruntime"
            ) from None
        exporter = exporter_of(target.runtime, f"{where}: places: {place}")
        if exporter not in _entries(tree, "export"):
            raise UserError(
                f"{where}: export: {exporter} is missing, which {place} needs; add {exporter}: {{}}"
            )


def _min_scores(tree: dict[str, Any], where: str) -> None:
    """Hold the bounds of scores: each is of a score of the task, and one that can be beaten."""
    from edgepress.tasks.task import Task

    bounds = _entries(tree, "gates").get("min_score")
    try:
        units = Task.open(tree["task"], ("a", "b"), where).answers.units
    except UserError:
        return  # Refused by its own rule.
    for name, bound in bounds.items() if isinstance(bounds, dict) else ():
        if name not in units:
            raise UserError(
                f"{where}: gates.min_score: {name!r} is not one of {', '.join(units)}"
                f"{nearest(str(name), list(units))}"
            )
        if units[name] == "share" and isinstance(bound, int | float) and not 0 <= bound < 1:
            raise UserError(
                f"{where}: gates.min_score.{name}: {bound} is not at least 0 and below 1; scores "
                "are shares, 0.9 is 90 %"
            )


def _fitted(tree: dict[str, Any], where: str) -> None:
    """Hold how pictures are fitted against the task: a crop leaves out what lies at the sides."""
    from edgepress.records.inputs import Crop, InputSpec
    from edgepress.tasks.task import Task

    try:
        spec = validate(InputSpec, tree["input"], where, "input")
        task = Task.open(tree["task"], ("a", "b"), where)
    except UserError:
        return  # Refused by its own rule.
    if isinstance(spec.fit, Crop) and any(
        len(each.shape) > 2 for each in task.answers.outputs(spec)
    ):
        raise UserError(
            f"{where}: input.fit.crop: leaves out a picture's sides, and {task.name} answers for "
            "all of it; set fit: letterbox, or stretch"
        )


def _asked(tree: dict[str, Any], key: str, room: str, where: str) -> None:
    """Hold a recipe against the task's labels: its loss, its classes, what it mixes."""
    try:
        entry = lookup(tree, key, where)
        from edgepress.tasks.task import Task
        from edgepress.training.refusals import refusals

        task = Task.open(lookup(tree, "task", where), ("a", "b"), where)
        recipe = cast(Any, resolve(room, entry, where, key).params)
    except UserError:
        return  # Refused by its own rule.
    if not hasattr(recipe, "sampler"):
        return  # Nothing is learnt there.
    for name, reason in refusals(recipe, None if room == "encoders" else task):
        raise UserError(f"{where}: {key}.{name}: {reason} (got {lookup(entry, name, where)})")


def _network(tree: dict[str, Any], where: str, section: str) -> None:
    """Build a network once, for two classes: what cannot take input or weights is refused here."""
    from edgepress.bundles.network import Blueprint, build
    from edgepress.bundles.weights import begin, given
    from edgepress.records.inputs import InputSpec
    from edgepress.tasks.task import Task

    try:
        for key in ("input", "task", f"{section}.backbone", f"{section}.head"):
            if not isinstance(lookup(tree, key, where), dict):
                return  # Refused by its own rule.
        spec = validate(InputSpec, tree["input"], where, "input")
        task = Task.open(tree["task"], ("a", "b"), where)
        for part, room in (("backbone", "backbones"), ("head", "heads")):
            resolve(room, tree[section][part], where, f"{section}.{part}")
    except UserError:
        return  # Refused by its own rule.
    backbone = {**tree[section]["backbone"]}
    if "pretrained" in backbone:
        backbone["pretrained"] = False
    outputs = task.learner.outputs(spec)
    entries = (backbone, tree[section]["head"])
    network = build(Blueprint(*entries, spec, outputs, where, section, guessed=True))
    weights = given(tree[section], where, section)
    if weights is not None:
        begin(network, weights, f"{where}: {section}.weights")


def _taught(tree: dict[str, Any], where: str) -> None:
    """Hold the heads of teacher and student against the features that a distillation needs."""
    try:
        recipe = resolve(
            "distillation", lookup(tree, "distill.recipe", where), where, "distill.recipe"
        )
        heads = {
            key: resolve("heads", lookup(tree, key, where), where, key)
            for key in ("train.head", "distill.head")
        }
    except UserError:
        return  # Refused by its own rule.
    shapes = [[tree[section].get(key) for key in ("backbone", "head")] for section in _TAUGHT]
    if getattr(recipe.module, "TWIN", False) and shapes[0] != shapes[1]:
        raise UserError(
            f"{where}: distill.recipe.method: {recipe.name} passes the teacher on; set "
            "distill.backbone and distill.head as those of train"
        )
    needed = getattr(recipe.module, "FEATURES", None)
    for key, head in heads.items():
        if needed and needed != head.module.FEATURES:
            raise UserError(
                f"{where}: distill.recipe.method: {recipe.name} needs {needed}, and {key} "
                f"{head.name} takes {head.module.FEATURES} features; use logits or another head"
            )


def _learnt(tree: dict[str, Any], where: str) -> None:
    """Hold a recipe that learns nothing against the weights that it needs."""
    try:
        recipe, backbone = (
            resolve(room, lookup(tree, key, where), where, key)
            for room, key in (("training", "train.recipe"), ("backbones", "train.backbone"))
        )
    except UserError:
        return  # Refused by its own rule.
    learns = getattr(recipe.module, "LEARNS", True)
    comes_trained = getattr(backbone.module, "TRAINED", False)
    if not learns and not comes_trained and not tree["train"].get("weights"):
        raise UserError(
            f"{where}: train.weights: missing; train.recipe.method {recipe.name} learns nothing, "
            "so name the file of a trained network"
        )


def _embedded(tree: dict[str, Any], where: str) -> None:
    """Hold a curation that looks at vectors against an encoder that gives none."""
    try:
        encoder = resolve("encoders", tree["embed"], where, "embed")
        curation = resolve("curation", tree["curate"], where, "curate")
    except UserError:
        return  # Refused by its own rule.
    if getattr(curation.module, "LOOKS", True) and not getattr(encoder.module, "TELLS", True):
        raise UserError(
            f"{where}: curate.method: {curation.name} looks at embeddings, and embed.method: "
            f"{encoder.name} gives none; use another encoder, or curate: {{method: none}}"
        )


def _encoder(tree: dict[str, Any], where: str) -> None:
    """Build an encoder's network once, if it has one, for the same reason."""
    from edgepress.records.inputs import InputSpec

    try:
        spec = validate(InputSpec, tree["input"], where, "input")
        encoder = resolve("encoders", tree["embed"], where, "embed")
    except UserError:
        return  # Refused by its own rule.
    if hasattr(encoder.module, "network"):
        try:
            encoder.module.network(encoder.params, spec)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
