"""Limits: what a target was not proven on, read from what it was measured on."""

from __future__ import annotations

from edgepress.report.per_class import table
from edgepress.report.run import TargetRun

FEW = 35
"""Items below which not even a class without a mistake is proven to be right in 90 of 100."""
_NAMED = 20
_EVERY = 1_000_000


def limits(target: TargetRun) -> list[str]:
    """Return a sentence for each: classes hardly tested or not at all, other processors."""
    found = target.measurement
    if found is None or not found.scores:
        return ["No answer of this target was held against the truth."]
    said = []
    classes = table(target, _EVERY)
    if classes is not None:
        absent = [row.name for row in classes.rows if not row.items]
        known = {row.name for row in classes.rows}
        every = () if target.exported is None else target.exported.classes
        # What is judged may be parts of a class: then no class is named among them.
        absent += [name for name in every if name not in known] if known & set(every) else []
        few = [f"{row.name} ({row.items})" for row in classes.rows if 0 < row.items < FEW]
        if absent:
            said.append(f"Not in the test split, so not proven: {_list(absent)}.")
        if few:
            said.append(
                f"Fewer than {FEW} {classes.unit} in the test split, too few to prove that 90 % "
                f"are right: {_list(few)}."
            )
    flags = ", ".join(found.conditions.isa_flags) or "no instruction set recorded"
    said.append(
        f"Answers were those of {found.conditions.machine} ({flags}); on another processor they "
        "may differ."
    )
    return said


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
