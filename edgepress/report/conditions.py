"""Conditions: the machines that measurements were taken on, each told once with its targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgepress.records.measurement import Conditions, Latency
from edgepress.report.run import TargetRun


@dataclass(frozen=True)
class Setting:
    """One machine and state, with the targets measured under it."""

    machine: str
    cores: int
    isa_flags: tuple[str, ...]
    emulated: bool
    load: tuple[float, float]
    """Lowest and highest load average seen."""
    mhz: tuple[float, float] | None
    temperature_c: float | None
    """Highest seen."""
    throttled: str
    timing: tuple[str, ...]
    """Runs, warm-up and threads, each distinct setting once."""
    tools: tuple[tuple[str, str], ...]
    targets: tuple[str, ...]


def settings(targets: Sequence[TargetRun]) -> list[Setting]:
    """Group what was measured by machine, instruction set and emulation."""
    groups: dict[tuple[str, tuple[str, ...], bool], list[TargetRun]] = {}
    for target in targets:
        found = target.measurement
        if found is not None and (found.parity or found.scores or found.latency):
            where = found.conditions
            group = (where.machine, where.isa_flags, where.emulated)
            groups.setdefault(group, []).append(target)
    return [_setting(members) for members in groups.values()]


def _setting(members: list[TargetRun]) -> Setting:
    found = [run.measurement for run in members if run.measurement is not None]
    conditions = [measurement.conditions for measurement in found]
    first = conditions[0]
    loads = [each.load_average for each in conditions]
    clocks = [each.cpu_mhz for each in conditions if each.cpu_mhz is not None]
    heats = [each.temperature_c for each in conditions if each.temperature_c is not None]
    latencies = [each.latency for each in found if each.latency is not None]
    tools = sorted({(name, version) for each in conditions for name, version in each.tools.items()})
    return Setting(
        machine=first.machine,
        cores=first.cores,
        isa_flags=first.isa_flags,
        emulated=first.emulated,
        load=(min(loads), max(loads)),
        mhz=(min(clocks), max(clocks)) if clocks else None,
        temperature_c=max(heats, default=None),
        throttled=_throttled(conditions),
        timing=tuple(sorted({_timing(latency) for latency in latencies})),
        tools=tuple(tools),
        targets=tuple(run.key for run in members),
    )


def _throttled(conditions: list[Conditions]) -> str:
    states = {each.throttled for each in conditions}
    if True in states:
        return "yes, at least once: distrust these latencies"
    return "no" if states == {False} else "not known on this host"


def _timing(latency: Latency) -> str:
    plural = "s" if latency.threads != 1 else ""
    return (
        f"{latency.runs} runs after {latency.warmup_runs} to warm up, one item, "
        f"{latency.threads} thread{plural}"
    )
