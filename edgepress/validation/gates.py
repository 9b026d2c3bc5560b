"""Gates: a pure function from a Measurement and bounds to Verdicts; the unproven never passes.

Where a number has an interval, its worse end is compared with the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from edgepress.errors import UserError, nearest
from edgepress.params import Config
from edgepress.records.measurement import Interval, Measurement, Score
from edgepress.records.target import Target
from edgepress.records.verdict import Outcome, Verdict, Verdicts


class Gates(Config):
    """The `gates` section of params.yaml: bounds of answers and of the gain over the baseline."""

    max_drop: float = Field(ge=0, le=1)
    """The upper end of the first score's paired drop must stay below; 0.02 is two points."""
    min_score: dict[str, float]
    """Name of a score -> what the lower end of its interval must stay above."""
    min_class_score: float
    """What the lower end of every class's own scores must stay above."""
    max_error: dict[str, float]
    """Precision -> largest centred relative error of any raw output."""
    min_agreement: dict[str, float]
    """Precision -> least mean agreement of decoded answers with the Bundle's."""
    min_speedup: float = Field(gt=0)
    """The lower end of the speed-up's interval over the baseline must stay above."""


class Budget(Config):
    """What a place allows."""

    max_p99_ms: float = Field(gt=0)
    """The upper end of p99's interval must not exceed it, in milliseconds."""
    max_size_mb: float = Field(gt=0)
    """Most MB (10^6 bytes) of all files of the export together."""
    max_peak_memory_mb: float = Field(gt=0)
    """Most MB (10^6 bytes) of resident memory of a fresh process."""


def judge(
    measurement: Measurement,
    gates: Gates,
    budget: Budget,
    baseline: Target,
    before: Measurement | None = None,
) -> Verdicts:
    """Judge a measurement; the baseline itself has nothing to beat and no speed-up gate.

    `before` is the baseline's own measurement, None where it is not a target: what the same
    toolchain changed before it quantized would hide in the larger bounds of INT8.
    """
    if "export" in measurement.not_run:
        gone = _not_run("export", None, "", measurement.not_run)
        return Verdicts(target=measurement.target, verdicts=(gone,))
    verdicts = [
        _integrity(measurement),
        _parity(measurement, gates),
        *_own_scales(measurement),
        _agreement(measurement, gates),
        _drop(measurement, gates),
        *_scores(measurement, gates),
        _latency(measurement, budget),
        _size(measurement, budget),
        _memory(measurement, budget),
    ]
    if measurement.target != baseline:
        if before is not None:
            verdicts.append(_baseline(before, gates))
        verdicts.append(_speedup(measurement, gates, baseline))
    return Verdicts(target=measurement.target, verdicts=tuple(verdicts))


def bound_of(bounds: Mapping[str, float], name: str, precision: str) -> float:
    """Return a gate's bound for a precision; none is a UserError."""
    bound = bounds.get(precision)
    if bound is None:
        known = sorted(bounds)
        raise UserError(
            f"params.yaml: gates.{name}: no bound for {precision!r}; there are "
            f"{', '.join(known) or 'none'}{nearest(precision, known)}"
        )
    return bound


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


def _parity(measurement: Measurement, gates: Gates) -> Verdict:
    bound = bound_of(gates.max_error, "max_error", measurement.target.precision)
    parity = measurement.parity
    if parity is None:
        return _not_run("parity", bound, "", measurement.not_run)
    worst = max(parity.outputs, key=lambda output: output.error)
    return _compare(
        "parity",
        (worst.error, "<=", bound),
        "",
        f"{worst.name} differs by {worst.error:.3g} of what tells {parity.sample} answers apart "
        f"(cosine {worst.cosine:.6f}, largest difference {worst.max_abs:.3g})",
    )


def _own_scales(measurement: Measurement) -> list[Verdict]:
    """Judge networks of several outputs: two that share a scale of 8 bits are at fault."""
    parity = measurement.parity
    if parity is None or len(parity.outputs) < 2 or parity.one_scale is None:
        return []
    shared = [f"{a} and {b}" for a, b in parity.one_scale]
    good = f"no two of {len(parity.outputs)} outputs share a scale of 8 bits"
    bad = "one scale of 8 bits for " + ", ".join(shared) + ": quantize each output by its own"
    return [
        Verdict(
            gate="own_scale",
            outcome="fail" if shared else "pass",
            value=None,
            bound=None,
            unit="",
            reason=bad if shared else good,
        )
    ]


def _agreement(measurement: Measurement, gates: Gates) -> Verdict:
    bound = bound_of(gates.min_agreement, "min_agreement", measurement.target.precision)
    parity = measurement.parity
    if parity is None:
        return _not_run("agreement", bound, "share", measurement.not_run, "parity")
    return _compare(
        "agreement",
        (parity.agreement, ">=", bound),
        "share",
        f"{parity.changed} of {parity.items} answers are not the Bundle's",
    )


def _drop(measurement: Measurement, gates: Gates) -> Verdict:
    bound, score, parity = gates.max_drop, measurement.score, measurement.parity
    if score is None or score.drop is None or parity is None:
        return _not_run("drop", bound, "share", measurement.not_run, "scores")
    if parity.changed == 0:
        return Verdict(
            gate="drop",
            outcome="pass",
            value=0.0,
            bound=bound,
            unit=score.unit,
            reason=f"not one of {parity.items} answers changed, so {score.name} is the Bundle's",
        )
    return _compare(
        "drop",
        (score.drop.high, "<", bound),
        score.unit,
        f"{score.name} {_words(score.value.value, score)} on {score.items} items, "
        f"{_within(score.drop)} worse than the float Bundle",
    )


def _scores(measurement: Measurement, gates: Gates) -> list[Verdict]:
    """Judge what the answers are worth: named scores, every class, and against no model at all."""
    if not measurement.scores:
        names = ("score", "class_score", "above_constant")
        return [_not_run(name, None, "", measurement.not_run, "scores") for name in names]
    known = {score.name: score for score in measurement.scores if score.of is None}
    unknown = [name for name in gates.min_score if name not in known]
    if unknown:
        raise UserError(
            f"params.yaml: gates.min_score: {unknown[0]!r} is not one of {', '.join(known)}"
            f"{nearest(unknown[0], list(known))}"
        )
    verdicts = [
        _at_least(name, known[name], bound) for name, bound in sorted(gates.min_score.items())
    ]
    classes = [score for score in measurement.scores if score.of is not None]
    if classes:
        worst = min(classes, key=lambda score: score.surely)
        told = worst.model_copy(update={"name": f"{worst.name} of {worst.of!r}"})
        verdicts.append(_at_least("class_score", told, gates.min_class_score))
    constant = [score for score in known.values() if score.constant is not None]
    return verdicts + [_above_constant(score) for score in constant]


def _at_least(gate: str, score: Score, bound: float) -> Verdict:
    sign: Literal[">", "<"] = ">" if score.better == "higher" else "<"
    reason = f"{score.name} {_within(score.value)} on {score.items} items"
    return _compare(gate, (score.surely, sign, bound), score.unit, reason)


def _above_constant(score: Score) -> Verdict:
    bound = score.constant or 0.0
    sign: Literal[">", "<"] = ">" if score.better == "higher" else "<"
    return _compare(
        f"{score.name}_above_constant",
        (score.surely, sign, bound),
        score.unit,
        f"{score.name} {_within(score.value)}; the best answer that looks at nothing has "
        f"{_words(bound, score)}",
    )


def _latency(measurement: Measurement, budget: Budget) -> Verdict:
    latency = measurement.latency
    if latency is None:
        return _not_run("latency", budget.max_p99_ms, "ms", measurement.not_run)
    if latency.p99_ms is None:
        why = f"{latency.runs} runs cannot bound p99 on this machine now; raise validate.runs"
        return _not_run("latency", budget.max_p99_ms, "ms", {"latency": why})
    throttled = ", while the processor was throttled" if measurement.conditions.throttled else ""
    return _compare(
        "latency",
        (latency.p99_ms.high, "<=", budget.max_p99_ms),
        "ms",
        f"p99 {_within(latency.p99_ms)} ms over {latency.runs} runs on {latency.threads} "
        f"thread(s){throttled}",
    )


def _size(measurement: Measurement, budget: Budget) -> Verdict:
    size = measurement.size_bytes / 1e6
    return _compare("size", (size, "<=", budget.max_size_mb), "MB", f"{size:.3f} MB on disk")


def _memory(measurement: Measurement, budget: Budget) -> Verdict:
    peak, bound = measurement.peak_memory_mb, budget.max_peak_memory_mb
    if peak is None:
        return _not_run("memory", bound, "MB", measurement.not_run)
    return _compare("memory", (peak, "<=", bound), "MB", f"a fresh process peaks at {peak:.1f} MB")


def _baseline(before: Measurement, gates: Gates) -> Verdict:
    """Ask whether the baseline's files answer as the Bundle does; what they cost is their own."""
    asked = (_integrity(before), _parity(before, gates), _agreement(before, gates))
    worst = next((each for each in asked if each.outcome == "fail"), None)
    worst = worst or next((each for each in asked if each.outcome == "not-run"), None)
    good = f"{before.target} answers as the Bundle does"
    return Verdict(
        gate="baseline",
        outcome="pass" if worst is None else worst.outcome,
        value=None,
        bound=None,
        unit="",
        reason=good if worst is None else f"{before.target}: {worst.gate}: {worst.reason}",
    )


def _speedup(measurement: Measurement, gates: Gates, baseline: Target) -> Verdict:
    latency, bound = measurement.latency, gates.min_speedup
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


def _not_run(
    gate: str, bound: float | None, unit: str, reasons: dict[str, str], part: str | None = None
) -> Verdict:
    reason = reasons.get(part or gate) or reasons.get("integrity") or "not measured"
    return Verdict(gate=gate, outcome="not-run", value=None, bound=bound, unit=unit, reason=reason)


def _words(value: float, score: Score) -> str:
    return f"{value:.2%}" if score.unit == "share" else f"{value:.4g} {score.unit}".strip()


def _within(interval: Interval) -> str:
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"
