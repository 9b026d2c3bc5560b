from __future__ import annotations

from dataclasses import replace

from edgepress.report.conditions import settings
from edgepress.report.run import Run


def test_a_machine_is_told_once_when_many_targets_ran_on_it(finished: Run) -> None:
    [setting] = settings(finished.targets)
    assert len(setting.targets) == 8  # the six that could not run have no conditions to tell
    assert setting.timing == ("1000 runs after 50 to warm up, one item, 1 thread",)
    assert setting.throttled == "not known on this host"
    assert ("onnxruntime", "1.31.1") in setting.tools


def test_emulation_is_a_setting_of_its_own_when_one_target_was_emulated(finished: Run) -> None:
    first, second = finished.targets[:2]
    assert first.measurement is not None
    away = first.measurement.conditions.model_copy(update={"emulated": True, "throttled": True})
    emulated = replace(first, measurement=first.measurement.model_copy(update={"conditions": away}))
    found = settings([emulated, second])
    assert [setting.emulated for setting in found] == [True, False]
    assert found[0].throttled.startswith("yes")
