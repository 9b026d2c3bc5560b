"""Gates: a pure function from a Measurement and bounds to Verdicts; the unproven never passes.

Where a number has an interval, its worse end is compared with the bound.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgepress.errors import UserError, nearest
from edgepress.params import Config
from edgepress.records.measurement import Interval, Measurement
from edgepress.records.target import Target
from edgepress.records.verdict import Outcome, Verdict, Verdicts


class Gates(Config):
    """The `gates` section of params.yaml."""

    max_accuracy_drop_points: float = Field(ge=0, le=100)
    """The upper end of the paired drop's interval must stay below, in points."""
    min_cosine: dict[str, float]
    """Precision -> least mean cosine similarity of logits to the Bundle's."""
    max_p99_ms: float = Field(gt=0)
    """The upper end of p99's interval must not exceed it, in milliseconds."""
    max_size_mb: float = Field(gt=0)
    """Most MB (10^6 bytes) of all files of the export together."""
    max_peak_memory_mb: float = Field(gt=0)
    """Most MB (10^6 bytes) of resident memory of a fresh process."""
    min_speedup: float = Field(gt=0)
    """The lower end of the speed-up's interval over the baseline must stay above."""

    def least_cosine(self, target: Target) -> float:
        """Return the bound of the target's precision; none is a UserError."""
        bound = self.min_cosine.get(target.precision)
        if bound is None:
            known = sorted(self.min_cosine)
            raise UserError(
                f"params.yaml: gates.min_cosine: no bound for {target.precision!r} of {target}; "
                f"there are {', '.join(known) or 'none'}{nearest(target.precision, known)}"
            )
        return bound


def judge(measurement: Measurement, bounds: Gates, baseline: Target) -> Verdicts:
    """Judge a measurement; the baseline itself has nothing to beat and no speed-up gate."""
    verdicts = [
        _integrity(measurement),
        _parity(measurement, bounds),
        _accuracy(measurement, bounds),
        _latency(measurement, bounds),
        _size(measurement, bounds),
        _memory(measurement, bounds),
    ]
    if measurement.target != baseline:
        verdicts.append(_speedup(measurement, bounds, baseline))
    return Verdicts(target=measurement.target, verdicts=tuple(verdicts))


def _integrity(measurement: Measurement) -> Verdict:
    fault = measurement.not_run.get("integrity")
    good = "the files are those that were exported, from the Bundle they are compared with"
    return Verdict(
        gate="integrity",
        outcome="pass" if fault is None else "fail",
        value=None,
        bound=None,
        unit="",
        reason=fault or good,
    )


def _parity(measurement: Measurement, bounds: Gates) -> Verdict:
    bound = bounds.least_cosine(measurement.target)
    parity = measurement.parity
    if parity is None:
        return _not_run("parity", bound, "cosine", measurement.not_run)
    return _compare(
        "parity",
        (parity.cosine, ">=", bound),
        "cosine",
        f"mean cosine to the Bundle {parity.cosine:.6f} over {parity.images} images, largest "
        f"difference {parity.max_abs:.3g}, same top-1 on {parity.top1_agreement:.2%}",
    )


def _accuracy(measurement: Measurement, bounds: Gates) -> Verdict:
    bound, accuracy = bounds.max_accuracy_drop_points, measurement.accuracy
    if accuracy is None:
        return _not_run("accuracy", bound, "points", measurement.not_run)
    drop = accuracy.drop_points
    return _compare(
        "accuracy",
        (drop.high, "<", bound),
        "points",
        f"{accuracy.top1.value:.2%} right on {accuracy.images} images, drop {_within(drop)} points "
        "against the float Bundle",
    )


def _latency(measurement: Measurement, bounds: Gates) -> Verdict:
    latency = measurement.latency
    if latency is None:
        return _not_run("latency", bounds.max_p99_ms, "ms", measurement.not_run)
    if latency.p99_ms is None:
        why = f"{latency.runs} runs cannot bound p99 on this machine now; raise validate.runs"
        return _not_run("latency", bounds.max_p99_ms, "ms", {"latency": why})
    throttled = ", while the processor was throttled" if measurement.conditions.throttled else ""
    return _compare(
        "latency",
        (latency.p99_ms.high, "<=", bounds.max_p99_ms),
        "ms",
        f"p99 {_within(latency.p99_ms)} ms over {latency.runs} runs on {latency.threads} "
        f"thread(s){throttled}",
    )


def _size(measurement: Measurement, bounds: Gates) -> Verdict:
    size = measurement.size_bytes / 1e6
    return _compare("size", (size, "<=", bounds.max_size_mb), "MB", f"{size:.3f} MB on disk")


def _memory(measurement: Measurement, bounds: Gates) -> Verdict:
    peak, bound = measurement.peak_memory_mb, bounds.max_peak_memory_mb
    if peak is None:
        return _not_run("memory", bound, "MB", measurement.not_run)
    return _compare("memory", (peak, "<=", bound), "MB", f"a fresh process peaks at {peak:.1f} MB")


def _speedup(measurement: Measurement, bounds: Gates, baseline: Target) -> Verdict:
    latency, bound = measurement.latency, bounds.min_speedup
    if latency is None or latency.speedup is None:
        reasons = measurement.not_run
        why = reasons.get("speedup") or reasons.get("latency") or f"{baseline} was not timed"
        return _not_run("speedup", bound, "times", {"speedup": why})
    ratio, own = latency.speedup, latency.p50_ms.value
    faster = ratio.low > bound
    return _compare(
        "speedup",
        (ratio.low, ">", bound),
        "times",
        f"{_within(ratio)} times as fast as {baseline} (p50 {own:.4g} ms against "
        f"{own * ratio.value:.4g} ms)" + ("" if faster else f"; keep {baseline.precision}"),
    )


Comparison = tuple[float, Literal["<", "<=", ">", ">="], float]


def _compare(gate: str, comparison: Comparison, unit: str, reason: str) -> Verdict:
    value, sign, bound = comparison
    passed = {
        "<": value < bound,
        "<=": value <= bound,
        ">": value > bound,
        ">=": value >= bound,
    }[sign]
    outcome: Outcome = "pass" if passed else "fail"
    rule = f"{value:.6g} {'is' if passed else 'is not'} {sign} {bound:g}"
    return Verdict(
        gate=gate,
        outcome=outcome,
        value=value,
        bound=bound,
        unit=unit,
        reason=f"{reason}: {rule}",
    )


def _not_run(gate: str, bound: float, unit: str, reasons: dict[str, str]) -> Verdict:
    reason = reasons.get(gate) or reasons.get("integrity") or "not measured"
    return Verdict(gate=gate, outcome="not-run", value=None, bound=bound, unit=unit, reason=reason)


def _within(interval: Interval) -> str:
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"
