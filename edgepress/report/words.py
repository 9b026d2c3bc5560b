"""Words: how the page, the cards and the terminal write values, one way for each unit."""

from __future__ import annotations

from edgepress.records.measurement import Interval
from edgepress.records.verdict import Outcome

ABSENT = "–"
OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "pass": ("✓", "pass"),
    "fail": ("✗", "fail"),
    "not-run": ("○", "not run"),
}
"""Outcome -> its sign and its words: colour alone says nothing to many readers."""


def size(value: float | None) -> str:
    """Write bytes as B, kB or MB (powers of 1000)."""
    if value is None:
        return ABSENT
    if value < 1000:
        return f"{value:.0f} B"
    return f"{value / 1e3:.1f} kB" if value < 1e6 else f"{value / 1e6:.2f} MB"


def count(value: float | None) -> str:
    """Write a count with thousands apart, from a million on with two decimals and M or G."""
    if value is None:
        return ABSENT
    if value < 1e6:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value / 1e6:.2f} M" if value < 1e9 else f"{value / 1e9:.2f} G"


def percent(share: float | None) -> str:
    """Write a share between 0 and 1 in percent."""
    return ABSENT if share is None else f"{100 * share:.2f} %"


def name(text: str) -> str:
    """Write a score's name as people say it."""
    return " ".join(_SHORT.get(word, word) for word in text.split("_"))


def heading(text: str) -> str:
    """Write a score's name at the head of a column."""
    said = name(text)
    return said[:1].upper() + said[1:]


def score(value: float | None, unit: str = "share") -> str:
    """Write a score: a share in percent, anything else to four digits with its unit."""
    if value is None:
        return ABSENT
    return percent(value) if unit == "share" else f"{value:.4g} {unit}".strip()


def milliseconds(value: float | None) -> str:
    """Write milliseconds to three significant digits."""
    return ABSENT if value is None else f"{_digits(value)} ms"


def megabytes(value: float | None) -> str:
    """Write MB without decimals."""
    return ABSENT if value is None else f"{value:.0f} MB"


def times(value: float | None) -> str:
    """Write a ratio."""
    return ABSENT if value is None else f"{value:.2f}×"


def points(value: float | None) -> str:
    """Write a difference of shares in percentage points with its sign."""
    # A rounded minus zero reads like a loss that is not there.
    return ABSENT if value is None else f"{round(100 * value, 2) + 0.0:+.2f}"


def between_points(interval: Interval | None) -> str:
    """Write the ends of an interval of a difference of shares, in points."""
    return "" if interval is None else f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def between(interval: Interval | None) -> str:
    """Write an interval's ends, for example 0.21 to 0.24."""
    if interval is None:
        return ""
    return f"{_digits(interval.low)} to {_digits(interval.high)}"


def between_percent(interval: Interval | None) -> str:
    """Write the ends of an interval of a share, in percent."""
    return "" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def duration(seconds: float | None) -> str:
    """Write seconds, from two minutes on as minutes and seconds."""
    if seconds is None:
        return ABSENT
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def gate_value(value: float | None, unit: str) -> str:
    """Write a gate's value or bound with its unit."""
    if value is None:
        return ABSENT
    return f"{100 * value:.4g} %" if unit == "share" else f"{value:.4g} {unit}".strip()


_SHORT = {"ap": "AP", "f1": "F1", "iou": "IoU", "oks": "OKS", "pck": "PCK"}
"""Words of names that are said letter by letter."""


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
