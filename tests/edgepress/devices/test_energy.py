"""Energy: measured from the kernel's counter, or unavailable with the reason; never a guess."""

from __future__ import annotations

from pathlib import Path

from edgepress.devices import energy


def counter(root: Path, used: int, wrap: int = 1_000_000) -> Path:
    package = root / "sys/class/powercap/intel-rapl:0"
    (package / "intel-rapl:0:0").mkdir(parents=True)
    (package / "energy_uj").write_text(f"{used}\n")
    (package / "max_energy_range_uj").write_text(f"{wrap}\n")
    return package / "energy_uj"


def test_energy_is_the_counters_difference_per_run(tmp_path: Path) -> None:
    file = counter(tmp_path, 1000)

    def call() -> None:
        file.write_text(str(int(file.read_text()) + 5000))

    found = energy.measure(call, 20, tmp_path)
    assert (found.status, found.millijoules) == ("measured", 5.0)


def test_energy_survives_the_counters_overflow(tmp_path: Path) -> None:
    file = counter(tmp_path, 990_000)
    found = energy.measure(lambda: file.write_text("10000"), 1, tmp_path)
    assert found.millijoules == 20.0


def test_energy_is_unavailable_when_there_is_no_counter(tmp_path: Path) -> None:
    found = energy.measure(lambda: None, 5, tmp_path)
    assert (found.status, found.millijoules) == ("unavailable", None)
    assert "RAPL" in found.reason


def test_energy_is_unavailable_when_the_counter_stands_still(tmp_path: Path) -> None:
    counter(tmp_path, 1000)
    assert energy.measure(lambda: None, 5, tmp_path).status == "unavailable"
