"""The machine: what its files say is what the record says."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edgepress.devices import cpuid, host

LINUX_X86 = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="reads x86 Linux's files"
)


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@LINUX_X86
def test_cpuid_and_kernel_agree_on_a_real_processor() -> None:
    if cpuid.emulated():
        pytest.skip("under emulation the kernel describes the host")
    flags = Path("/proc/cpuinfo").read_text().split("flags")[1].split("\n")[0].split()
    assert set(host.here().isa_flags) <= set(cpuid.flags())
    assert set(host.here().isa_flags) == set(host._X86_FLAGS) & set(flags)
    assert cpuid.brand() in Path("/proc/cpuinfo").read_text()


@LINUX_X86
@pytest.mark.parametrize("flag", ["avx512_vnni", "avx_vnni", "amx_int8"])
def test_either_vnni_counts_as_vnni(tmp_path: Path, flag: str) -> None:
    put(tmp_path, "proc/cpuinfo", f"model name : Some CPU\nflags : fpu avx2 {flag}\n\nmore : 1\n")
    assert host.here(tmp_path).vnni
    assert host.here(tmp_path).isa_flags == tuple(sorted(("avx2", flag)))
    assert host.here(tmp_path).machine == "Some CPU"


@LINUX_X86
def test_no_vnni_when_the_kernel_lists_none(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "flags : fpu avx2 avx512f\n")
    assert not host.here(tmp_path).vnni


@LINUX_X86
def test_processor_is_the_emulated_one_when_qemu_runs_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpuid, "emulated", lambda: True)
    monkeypatch.setattr(cpuid, "brand", lambda: "Intel Core Processor (Haswell)")
    monkeypatch.setattr(cpuid, "flags", lambda: ("avx2",))
    found = host.here()
    assert found.emulated
    assert found.isa_flags == ("avx2",)
    assert found.machine == "Intel Core Processor (Haswell) (emulated by QEMU)"


def test_board_names_its_device(tmp_path: Path) -> None:
    put(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano\0")
    assert host.here(tmp_path).devices == {platform.machine().lower(), "jetson"}
    assert host.here(tmp_path).machine == "NVIDIA Jetson Orin Nano"


def test_rtx_is_a_device_when_the_driver_shows_one(tmp_path: Path) -> None:
    card = "proc/driver/nvidia/gpus/0000:01:00.0/information"
    put(tmp_path, card, "Model: \t\t NVIDIA GeForce RTX 4090\n")
    assert "rtx" in host.here(tmp_path).devices
    put(tmp_path, card, "Model: \t\t NVIDIA H100\n")
    assert "rtx" not in host.here(tmp_path).devices


def test_conditions_read_clock_temperature_and_throttling(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    put(tmp_path, f"{cpu}/cpu0/cpufreq/scaling_cur_freq", "2400000\n")
    put(tmp_path, f"{cpu}/cpu0/cpufreq/scaling_governor", "powersave\n")
    put(tmp_path, f"{cpu}/cpu0/thermal_throttle/core_throttle_count", "3\n")
    put(tmp_path, f"{cpu}/cpu1/thermal_throttle/core_throttle_count", "4\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "51200\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", "unreadable\n")
    found = host.conditions(["numpy", "no-such-package"], True, tmp_path)
    assert (found.cpu_mhz, found.temperature_c, found.throttled) == (2400.0, 51.2, True)
    assert list(found.tools) == ["numpy"]
    assert host.throttle_events(tmp_path) == 7
    assert host.governor(tmp_path) == "powersave"


def test_conditions_are_none_when_the_kernel_does_not_say(tmp_path: Path) -> None:
    found = host.conditions([], None, tmp_path)
    assert (found.cpu_mhz, found.temperature_c, found.throttled) == (None, None, None)
    assert host.throttle_events(tmp_path) is None
    assert host.governor(tmp_path) is None


def test_host_imports_none_of_the_tools_it_describes() -> None:
    code = (
        "import sys; from edgepress.devices import host; host.conditions([], None);"
        "heavy = {'torch', 'onnxruntime', 'openvino', 'numpy', 'onnx'} & set(sys.modules);"
        "sys.exit(len(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
