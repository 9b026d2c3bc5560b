"""Promotion: whether a version that passed its gates may take the champion's place."""

from __future__ import annotations

from dataclasses import dataclass

from edgepress.records.measurement import Interval


@dataclass(frozen=True)
class Standing:
    """A version's gated score as it was measured."""

    name: str
    value: Interval
    higher_is_better: bool = True


def refusal(challenger: Standing, champion: Standing | None, margin: float) -> str | None:
    """Say why a challenger may not replace the champion; None where it may.

    It may be no more than `margin` worse, the bound of the accuracy gate. Both were measured each
    on its own test items, so the best that speaks for the challenger is compared with the worst
    that speaks for the champion: what is measurably worse stays out, what may be as good does not.
    """
    if champion is None or champion.name != challenger.name:
        return None
    ours, theirs = challenger.value, champion.value
    if challenger.higher_is_better:
        worse = theirs.value - ours.value > margin and ours.high < theirs.low
    else:
        worse = ours.value - theirs.value > margin and ours.low > theirs.high
    if not worse:
        return None
    return (
        f"{challenger.name} {ours.value:.4g} ({ours.low:.4g} to {ours.high:.4g}) is worse than the "
        f"champion's {theirs.value:.4g} ({theirs.low:.4g} to {theirs.high:.4g}) by more than "
        f"{margin:g}"
    )
