"""The machine: what of it changes a model's answers or its speed, read without heavy imports."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgepress.devices import cpuid
from edgepress.records.measurement import Conditions

ROOT = Path("/")
_X86_FLAGS = ("amx_int8", "avx2", "avx512_bf16", "avx512_vnni", "avx512f", "avx_vnni", "fma")
_ARM_HWCAP = {
    "asimd": (16, 1),
    "asimddp": (16, 20),
    "sve": (16, 22),
    "i8mm": (26, 13),
    "bf16": (26, 14),
}
"""Flag -> which word of the auxiliary vector (AT_HWCAP, AT_HWCAP2) and which bit."""


@dataclass(frozen=True)
class Host:
    """What of a machine changes a model's answers, and nothing that changes by itself."""

    machine: str
    """CPU or board model."""
    architecture: str
    """x86_64, aarch64 ..."""
    isa_flags: tuple[str, ...]
    """Those that change a kernel's arithmetic, sorted."""
    emulated: bool
    """Answers are evidence, times are not."""
    devices: frozenset[str]
    """First words of the Targets this machine is: architecture, and jetson, rtx, apple."""

    @property
    def vnni(self) -> bool:
        """Whether u8 x s8 products are summed in 32 bits rather than saturating in 16."""
        return not {"avx512_vnni", "avx_vnni", "amx_int8"}.isdisjoint(self.isa_flags)


def here(root: Path = ROOT) -> Host:
    """Describe this machine from CPUID or the auxiliary vector and the files below `root`."""
    info = _cpuinfo(root)
    architecture = platform.machine()
    emulated = _emulated(architecture, info)
    return Host(
        machine=_machine(root, info, emulated),
        architecture=architecture,
        isa_flags=_flags(architecture, info, emulated),
        emulated=emulated,
        devices=_devices(root, architecture),
    )


def conditions(packages: Iterable[str], throttled: bool | None, root: Path = ROOT) -> Conditions:
    """Record the machine as it is now: clock in MHz, temperature in Celsius, load over a minute."""
    host = here(root)
    return Conditions(
        machine=host.machine,
        cores=_cores(),
        isa_flags=host.isa_flags,
        emulated=host.emulated,
        load_average=round(os.getloadavg()[0], 2),
        cpu_mhz=_clock(root),
        temperature_c=_temperature(root),
        throttled=throttled,
        tools={name: version for name, version in versions(packages).items() if version},
    )


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Return package -> installed version, None where it is not installed; nothing is imported."""
    return {name: _version(name) for name in packages}


def throttle_events(root: Path = ROOT) -> int | None:
    """Return how often the cores were throttled since boot; None where nobody counts."""
    counts = [
        _number(path)
        for path in root.glob(
            "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count"
        )
    ]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def governor(root: Path = ROOT) -> str | None:
    """Return the frequency governor of the first core; None where the kernel does not say."""
    path = root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    return _text(path).strip() or None


@functools.cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpuinfo(root: Path) -> dict[str, str]:
    """Return the first core's lines of /proc/cpuinfo."""
    first = _text(root / "proc/cpuinfo").strip().split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _emulated(architecture: str, info: dict[str, str]) -> bool:
    if architecture == "aarch64":
        # QEMU's user mode shows the x86 host's file, or (newer) a core whose implementer is nobody.
        return "vendor_id" in info or info.get("CPU implementer") in ("0x0", "0x00")
    return cpuid.emulated()


def _flags(architecture: str, info: dict[str, str], emulated: bool) -> tuple[str, ...]:
    if architecture == "aarch64":
        return _arm_flags()
    if emulated:
        return cpuid.flags()
    # The kernel's list leaves out what the hypervisor or the kernel switched off; CPUID does not.
    return tuple(flag for flag in _X86_FLAGS if flag in info.get("flags", "").split())


def _arm_flags() -> tuple[str, ...]:
    try:
        word = ctypes.CDLL(None).getauxval
    except (AttributeError, OSError):
        return ()
    word.restype, word.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
    return tuple(sorted(name for name, (kind, bit) in _ARM_HWCAP.items() if word(kind) >> bit & 1))


def _machine(root: Path, info: dict[str, str], emulated: bool) -> str:
    if emulated:
        return f"{cpuid.brand() or platform.machine()} (emulated by QEMU)"
    board = _text(root / "proc/device-tree/model").strip("\0\n ")
    part = " ".join(info[key] for key in ("CPU implementer", "CPU part") if key in info)
    return board or info.get("model name") or part or platform.processor() or platform.machine()


def _devices(root: Path, architecture: str) -> frozenset[str]:
    names = {architecture.lower()}
    if "jetson" in _text(root / "proc/device-tree/model").lower():
        names.add("jetson")
    if platform.system() == "Darwin":
        names.add("apple")
    cards = root.glob("proc/driver/nvidia/gpus/*/information")
    if any(" RTX " in _text(card) for card in cards):
        names.add("rtx")
    return frozenset(names)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _clock(root: Path) -> float | None:
    paths = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    clocks = [kilohertz / 1000 for path in paths if (kilohertz := _number(path)) is not None]
    if clocks:
        return round(max(clocks), 1)
    stated = _cpuinfo(root).get("cpu MHz", "")
    return round(float(stated), 1) if stated.replace(".", "", 1).isdigit() else None


def _temperature(root: Path) -> float | None:
    paths = root.glob("sys/class/thermal/thermal_zone*/temp")
    readings = [value / 1000 for path in paths if (value := _number(path)) is not None]
    return round(max(readings), 1) if readings else None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
