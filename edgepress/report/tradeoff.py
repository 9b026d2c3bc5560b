"""The score-latency-size trade-off: the points the page's chart may plot, measured ones only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgepress.records.measurement import Interval, Latency, Measurement
from edgepress.report import words
from edgepress.report.run import TargetRun

AXES: tuple[dict[str, str], ...] = (
    {"id": "p50", "title": "latency p50", "unit": "ms", "better": "low"},
    {"id": "p90", "title": "latency p90", "unit": "ms", "better": "low"},
    {"id": "p99", "title": "latency p99", "unit": "ms", "better": "low"},
    {"id": "size", "title": "file size", "unit": "kB", "better": "low"},
    {"id": "memory", "title": "peak memory", "unit": "MB", "better": "low"},
)
"""What the reader may choose for either axis, besides the gated score."""


def axes(targets: Sequence[TargetRun]) -> tuple[dict[str, str], ...]:
    """Return all axes, the gated score's last, by its own name."""
    found = next((target.score for target in targets if target.score is not None), None)
    if found is None:
        return AXES
    title, unit = f"test {words.name(found.name)}", "%" if found.unit == "share" else found.unit
    better = "high" if found.better == "higher" else "low"
    return (*AXES, {"id": "score", "title": title, "unit": unit, "better": better})


def points(targets: Sequence[TargetRun]) -> list[dict[str, Any]]:
    """Return a point per target that was measured; `axes` holds [value, low, high] of each axis."""
    return [
        {
            "key": target.key,
            "device": target.target.device,
            "runtime": target.target.runtime,
            "precision": target.target.precision,
            "outcome": target.outcome,
            "axes": _axes(target.measurement),
        }
        for target in targets
        if target.measurement is not None and is_measured(target)
    ]


def is_measured(target: TargetRun) -> bool:
    """Whether the target's own runtime answered: scores or latency were taken from it."""
    found = target.measurement
    return found is not None and (bool(found.scores) or found.latency is not None)


def not_measured(targets: Sequence[TargetRun]) -> list[tuple[str, tuple[str, ...]]]:
    """Return each reason for having no point on the chart, once, with its targets."""
    grouped: dict[str, list[str]] = {}
    for target in targets:
        if not is_measured(target):
            grouped.setdefault(_why(target), []).append(target.key)
    return [(reason, tuple(keys)) for reason, keys in grouped.items()]


def _why(target: TargetRun) -> str:
    if target.measurement is None:
        return "no measurement was written; run its validate stage"
    reasons = dict.fromkeys(target.measurement.not_run.values())
    return "; ".join(reasons) or "no reason was recorded"


def _axes(found: Measurement) -> dict[str, list[float]]:
    axes: dict[str, list[float]] = {"size": _exact(found.size_bytes / 1000)}
    if found.peak_memory_mb is not None:
        axes["memory"] = _exact(found.peak_memory_mb)
    if found.score is not None:
        factor = 100 if found.score.unit == "share" else 1
        axes["score"] = [factor * value for value in _interval(found.score.value)]
    # An emulator says nothing about time.
    if found.latency is not None and not found.conditions.emulated:
        axes.update(_latency(found.latency))
    return axes


def _latency(latency: Latency) -> dict[str, list[float]]:
    found = {"p50": latency.p50_ms, "p90": latency.p90_ms, "p99": latency.p99_ms}
    return {name: _interval(value) for name, value in found.items() if value is not None}


def _interval(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


def _exact(value: float) -> list[float]:
    return [value, value, value]
