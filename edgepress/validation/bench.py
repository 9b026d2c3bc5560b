"""Bench: model files without a pipeline, timed in turns by the protocol that validation has."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgepress.devices import host
from edgepress.errors import UserError
from edgepress.records.benched import Benched, BenchedModel
from edgepress.records.measurement import Latency
from edgepress.records.record import sha256_file
from edgepress.records.tensors import Array
from edgepress.runtimes.bare import PACKAGES, Shapes, Slot, load, runtime_of
from edgepress.validation import feed, latency, memory
from edgepress.validation.alone import DisturbedError
from edgepress.validation.latency import Open, Plan
from edgepress.validation.watch import Call


@dataclass(frozen=True)
class Asked:
    """What models are to be run with."""

    shapes: Shapes
    images: Sequence[Image.Image] = ()
    """Upright pictures of 8 bits, run one after the other; none for random inputs."""
    data: str = "random"


@dataclass(frozen=True)
class _Model:
    """A file that ran once, and what it is fed with."""

    path: Path
    slots: tuple[Slot, ...]
    items: Sequence[Sequence[Array]]
    peak_mb: float | None


def bench(paths: Sequence[Path], asked: Asked, plan: Plan) -> Benched:
    """Measure model files; one that does not run, and a machine too busy, are UserErrors."""
    for path in paths:
        runtime_of(path)
    throttled = host.throttle_events()
    models = [_tried(path, asked, plan) for path in paths]
    _refuse_unknown(asked.shapes, models)
    try:
        times = latency.together([_opener(each, asked, plan) for each in models], plan)
    except DisturbedError as busy:
        raise UserError(str(busy)) from None
    after = host.throttle_events()
    packages = sorted({PACKAGES[runtime_of(path)] for path in paths})
    slower = None if throttled is None or after is None else after > throttled
    pairs = zip(models, times, strict=True)
    return Benched(
        models=tuple(_benched(each, took) for each, took in pairs),
        data=asked.data,
        conditions=host.conditions(packages, slower),
    )


def size_of(path: Path) -> int:
    """Return a model's bytes, its weights beside it included."""
    beside = (path.with_suffix(".bin"),) if path.suffix.lower() == ".xml" else ()
    external = Path(f"{path}.data")
    return sum(each.stat().st_size for each in (path, *beside, external) if each.is_file())


def _tried(path: Path, asked: Asked, plan: Plan) -> _Model:
    """Run a file in a fresh process, which it may take with it, then make its inputs."""
    threads = plan.timing.threads
    plan.progress(f"loading {path.name} in a fresh process", 0, 0)
    shapes = json.dumps({name: list(shape) for name, shape in asked.shapes.items()})
    held = memory.fresh("edgepress.validation.bench_probe", str(path), str(threads), shapes)
    if held.status != "ran":
        prefix = "" if held.reason.startswith(str(path)) else f"{path}: "
        raise UserError(f"{prefix}{held.reason}")
    with closing(load(path, threads, asked.shapes)) as model:
        slots = model.inputs
    images = asked.images
    items = feed.pictures(path, slots, images) if images else [feed.random(slots)]
    return _Model(path, slots, items, held.peak_mb)


def _opener(model: _Model, asked: Asked, plan: Plan) -> Open:
    @contextmanager
    def opened() -> Iterator[Call]:
        with closing(load(model.path, plan.timing.threads, asked.shapes)) as loaded:
            yield _call(loaded.run, model.items)

    return opened


def _call(run: Callable[[Sequence[Array]], object], items: Sequence[Sequence[Array]]) -> Call:
    if len(items) == 1:
        only = items[0]
        return lambda: run(only)
    turns = itertools.cycle(items)
    return lambda: run(next(turns))


def _refuse_unknown(shapes: Shapes, models: Sequence[_Model]) -> None:
    known = sorted({slot.name for each in models for slot in each.slots})
    for name in shapes:
        if name not in known:
            raise UserError(f"--shape {name}: no such input; there is {', '.join(known)}")


def _benched(model: _Model, took: Latency) -> BenchedModel:
    return BenchedModel(
        file=str(model.path),
        sha256=sha256_file(model.path),
        bytes=size_of(model.path),
        runtime=runtime_of(model.path),
        inputs={
            slot.name: f"{slot.dtype} {','.join(map(str, slot.shape))}" for slot in model.slots
        },
        latency=took,
        peak_memory_mb=model.peak_mb,
    )
