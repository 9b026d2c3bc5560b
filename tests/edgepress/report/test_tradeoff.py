from __future__ import annotations

from dataclasses import replace

import pytest

from edgepress.report.run import Run
from edgepress.report.tradeoff import not_measured, points


def test_only_measured_targets_are_plotted_when_some_could_not_run(finished: Run) -> None:
    keys = {point["key"] for point in points(finished.targets)}
    left_out = {key for _, group in not_measured(finished.targets) for key in group}
    assert len(keys) == 8
    assert keys.isdisjoint(left_out)
    assert keys | left_out == {target.key for target in finished.targets}


def test_axes_hold_value_and_interval_when_measured(finished: Run) -> None:
    point = points(finished.targets)[0]
    assert point["axes"]["p50"] == pytest.approx([0.41, 0.4018, 0.4182])
    assert point["axes"]["score"] == pytest.approx([97.78, 96.38, 98.88])
    assert point["axes"]["size"] == [322.1] * 3


def test_time_is_not_plotted_when_it_was_emulated(finished: Run) -> None:
    target = finished.targets[0]
    assert target.measurement is not None
    away = target.measurement.conditions.model_copy(update={"emulated": True})
    emulated = target.measurement.model_copy(update={"conditions": away})
    point = points([replace(target, measurement=emulated)])[0]
    assert set(point["axes"]) == {"size", "memory", "score"}


def test_reason_says_what_to_run_when_there_is_no_measurement(finished: Run) -> None:
    bare = replace(finished.targets[0], measurement=None)
    [(reason, keys)] = not_measured([bare])
    assert "run its validate stage" in reason
    assert keys == (bare.key,)
