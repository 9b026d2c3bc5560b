"""Energy of one inference from RAPL where the kernel shows it; otherwise unavailable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgepress.devices.host import ROOT
from edgepress.records.measurement import Energy


def measure(call: Callable[[], object], runs: int, root: Path = ROOT) -> Energy:
    """Return millijoules per run over `runs` runs, of the CPU packages with all else they do."""
    packages = sorted(root.glob("sys/class/powercap/intel-rapl:[0-9]*"))
    packages = [path for path in packages if path.name.count(":") == 1]
    if not packages:
        return unavailable("this machine has no RAPL counter (sys/class/powercap is empty)")
    try:
        before = [_microjoules(path / "energy_uj") for path in packages]
        for _ in range(runs):
            call()
        after = [_microjoules(path / "energy_uj") for path in packages]
        wraps = [_microjoules(path / "max_energy_range_uj") for path in packages]
    except PermissionError as error:
        return unavailable(f"{error.filename} may be read by root only")
    used = sum(
        end - start if end >= start else end + wrap - start
        for start, end, wrap in zip(before, after, wraps, strict=True)
    )
    if used == 0:
        return unavailable(f"the RAPL counter did not move in {runs} runs")
    reason = f"RAPL, {len(packages)} package(s) with everything else they did, mean of {runs} runs"
    return Energy(status="measured", millijoules=used / runs / 1000, reason=reason)


def unavailable(reason: str) -> Energy:
    """Return the record of an energy that was not measured, with the reason."""
    return Energy(status="unavailable", millijoules=None, reason=reason)


def _microjoules(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
