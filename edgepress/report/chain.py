"""The chain table: what each link from teacher to deployed INT8 file costs, and what it lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepress.report.run import Model, Run, TargetRun


@dataclass(frozen=True)
class Link:
    """One row; shares and bytes, None where the run does not say."""

    name: str
    parameters: int | None
    macs: int | None
    bounded: bool
    """Whether `macs` is a lower bound: the network has operators that cannot be counted."""
    size_bytes: int | None
    score: float | None
    """The gated score, as a share."""
    drop: float | None
    """How far below the first model; negative is a gain."""
    smaller: float | None
    """The first model's bytes over this one's."""


def links(run: Run) -> list[Link]:
    """Return the models of the chain, then the files of every target that INT8 was made for."""
    if not run.models:
        return []
    first, last = run.models[0], run.models[-1]
    rows = [_of_model(model, first) for model in run.models]
    return rows + [_of_target(target, last, first) for target in _deployed(run.targets)]


def gated(model: Model) -> float | None:
    """Return the model's first score."""
    return next(iter(model.scores.values()), None)


def _of_model(model: Model, first: Model) -> Link:
    return Link(
        model.name,
        model.bundle.parameters,
        model.bundle.macs,
        bool(model.bundle.uncounted),
        model.size_bytes,
        gated(model),
        None if model is first else _drop(gated(first), gated(model)),
        None if model is first else _ratio(first.size_bytes, model.size_bytes),
    )


def _of_target(target: TargetRun, source: Model, first: Model) -> Link:
    return Link(
        target.key,
        source.bundle.parameters,
        source.bundle.macs,
        bool(source.bundle.uncounted),
        target.size_bytes,
        None if target.score is None else target.score.value.value,
        _drop(gated(first), None if target.score is None else target.score.value.value),
        _ratio(first.size_bytes, target.size_bytes),
    )


def _deployed(targets: Sequence[TargetRun]) -> list[TargetRun]:
    return [
        target for target in targets if target.baseline != target.key and target.score is not None
    ]


def _drop(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else before - after


def _ratio(before: int | None, after: int | None) -> float | None:
    return None if not before or not after else before / after
