"""Sufficiency: how many test items the gates' bounds need, known before anything is trained.

Every interval here shrinks with the number of items. Below a certain number no model can pass,
however good; that number is found with the best answers there could be: all right, none changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgepress import intervals
from edgepress.validation.gates import Gates

_MOST = 1_000_000


def shortfalls(
    items: int, per_class: Mapping[str, int], gates: Gates, confidence: float
) -> list[str]:
    """Return a line for each bound that a test split of this size cannot prove."""
    lines = []
    for name, bound in sorted(gates.min_score.items()):
        needed = items_for_score(bound, confidence)
        if needed > items:
            lines.append(
                f"gates.min_score.{name} {bound:g} needs {_count(needed)} test items even where "
                f"all are right; there are {items}"
            )
    needed = items_for_score(gates.min_class_score, confidence)
    few = {name: count for name, count in per_class.items() if count < needed}
    if few:
        name, count = min(few.items(), key=lambda pair: (pair[1], pair[0]))
        lines.append(
            f"gates.min_class_score {gates.min_class_score:g} needs {_count(needed)} test items of "
            f"each class; {name!r} has {count}"
            + (f", {len(few) - 1} more too few" * (len(few) > 1))
        )
    needed = items_for_drop(gates.max_drop, confidence)
    if needed > items:
        lines.append(
            f"gates.max_drop {gates.max_drop:g} needs {_count(needed)} test items as soon as one "
            f"answer changes; there are {items}, so that INT8 passes only where none does"
        )
    return lines


def items_for_drop(bound: float, confidence: float) -> int:
    """Return the fewest items whose paired drop has its upper end below `bound` at no net loss."""
    return _fewest(lambda items: intervals.paired_drop(0, 0, items, confidence).high < bound)


def items_for_score(bound: float, confidence: float) -> int:
    """Return the fewest items, all right, whose share has its lower end above `bound`."""
    return _fewest(lambda items: intervals.share(items, items, confidence).low > bound)


def _fewest(holds: Callable[[int], bool]) -> int:
    """Return the least number for which a rule holds that holds for all larger ones too."""
    low, high = 0, 1
    while not holds(high):
        low, high = high, high * 2
        if high > _MOST:
            return _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _count(items: int) -> str:
    return f"over {_MOST:,}" if items >= _MOST else f"{items}"
