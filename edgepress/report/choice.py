"""Choice: which file to put on each device, and why; where nothing passed, what is nearest to it.

Of the targets of a device that passed every gate it is the fastest, by p50. Those whose intervals
overlap the fastest one's count as equally fast, and the smallest of them is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepress.records.exported import Exported
from edgepress.records.measurement import Interval, Latency, Score
from edgepress.report import words
from edgepress.report.gates import obstacles
from edgepress.report.run import TargetRun


@dataclass(frozen=True)
class Choice:
    """What to do on one device, in words: a line to act on and its reason."""

    device: str
    target: TargetRun
    """What to ship, or what is nearest to passing."""
    ships: bool
    head: str
    why: str


def choices(targets: Sequence[TargetRun]) -> list[Choice]:
    """Return one choice per device, those with something to ship first."""
    devices: dict[str, list[TargetRun]] = {}
    for target in targets:
        devices.setdefault(target.target.device, []).append(target)
    found = [_choice(device, members) for device, members in devices.items()]
    return sorted(found, key=lambda choice: not choice.ships)


def _choice(device: str, members: list[TargetRun]) -> Choice:
    timed = [
        (target, target.measurement.latency)
        for target in members
        if target.outcome == "pass" and target.measurement and target.measurement.latency
    ]
    if not timed:
        nearest = min(members, key=_distance)
        return Choice(device, nearest, False, f"Nothing to ship on {device} yet", _lacks(nearest))
    _, best = min(timed, key=lambda each: each[1].p50_ms.value)
    equal = [target for target, latency in timed if latency.p50_ms.low <= best.p50_ms.high]
    taken = min(equal, key=lambda target: target.size_bytes or 0)
    why = _why(taken, len(timed), [target.key for target in equal if target is not taken])
    return Choice(device, taken, True, f"Ship {_file(taken)} on {device}", why)


def _why(taken: TargetRun, passed: int, equal: list[str]) -> str:
    if passed == 1:
        rank = "the only target that passed every gate"
    elif not equal:
        rank = f"the fastest of {passed} targets that passed every gate"
    else:
        also = f"{', '.join(equal)} {'is' if len(equal) == 1 else 'are'} as fast within intervals"
        rank = f"the smallest of the fastest of {passed} targets that passed every gate ({also})"
    found = taken.measurement
    facts = [words.size(taken.size_bytes)]
    if found is not None and found.latency is not None:
        facts.insert(0, _latency(found.latency))
    if taken.score is not None:
        facts.append(_score(taken.score))
    return f"{rank}: {', '.join(facts)}"


def _latency(latency: Latency) -> str:
    p50 = latency.p50_ms
    return f"p50 {words.milliseconds(p50.value)} ({words.between(p50)})"


def _score(score: Score) -> str:
    ends = _ends(score.value, score.unit)
    return f"{words.name(score.name)} {words.score(score.value.value, score.unit)} ({ends})"


def _ends(interval: Interval, unit: str) -> str:
    return words.between_percent(interval) if unit == "share" else words.between(interval)


def _file(target: TargetRun) -> str:
    """Name what a runtime opens, and what has to lie beside it."""
    if target.exported is None or target.folder is None:
        return target.key
    entry = target.exported.part.entry
    beside = _beside(target.exported, entry)
    return f"{target.folder / entry}{f' with {beside}' if beside else ''}"


def _beside(exported: Exported, entry: str) -> str:
    others = [
        file.path
        for file in exported.files
        if file.path != entry and not file.path.startswith(f"{entry}/")
    ]
    return others[0] if len(others) == 1 else f"{len(others)} files beside it" if others else ""


def _distance(target: TargetRun) -> tuple[bool, bool, int, int]:
    """Order targets that did not pass: by gates failed, then by gates open.

    Last come those without verdicts, before them those without a file.
    """
    if target.verdicts is None:
        return True, True, 0, 0
    outcomes = [verdict.outcome for verdict in target.verdicts.verdicts]
    away = target.not_exported is not None
    return False, away, outcomes.count("fail"), outcomes.count("not-run")


def _lacks(target: TargetRun) -> str:
    first, *others = obstacles([target])
    more = f"; and {len(others)} more of its gates' reasons below" if others else ""
    sign = words.OUTCOMES[first.outcome][1]
    return f"nearest is {target.key}, {', '.join(first.gates)} {sign}: {first.reason}{more}"
