"""Which file to ship: the fastest that passed, the smallest of those as fast, or the nearest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepress.records.measurement import Interval
from edgepress.records.not_exported import NotExported
from edgepress.records.target import Target
from edgepress.records.verdict import Verdicts
from edgepress.report.choice import Choice, choices
from edgepress.report.run import Run, TargetRun
from tests.edgepress.report.conftest import gate, measured, not_run


def judged(target: TargetRun, *outcomes: str) -> TargetRun:
    """Return the target with gates of these outcomes, each with a reason of its own."""
    found = [
        gate(f"gate_{place}", outcome == "pass", 1.0, 2.0, "", f"reason {place}").model_copy(
            update={"outcome": outcome}
        )
        for place, outcome in enumerate(outcomes)
    ]
    return replace(target, verdicts=Verdicts(target=target.target, verdicts=tuple(found)))


def timed(target: TargetRun, low: float, value: float, high: float, size: int) -> TargetRun:
    assert target.measurement is not None
    assert target.measurement.latency is not None
    p50 = Interval(value=value, low=low, high=high)
    latency = target.measurement.latency.model_copy(update={"p50_ms": p50})
    update = {"latency": latency, "size_bytes": size}
    return replace(target, measurement=target.measurement.model_copy(update=update))


def only(targets: list[TargetRun]) -> Choice:
    (found,) = choices(targets)
    return found


def test_fastest_that_passed_is_shipped_when_a_faster_one_failed() -> None:
    fast = judged(measured("x86_64-openvino-int8"), "pass", "fail")
    slow = [judged(measured(f"x86_64-{name}-int8"), "pass") for name in ("litert", "onnxruntime")]
    found = only([fast, *slow])
    assert (found.ships, found.target.key) == (True, "x86_64-litert-int8")
    assert "the fastest of 2 targets that passed every gate: p50 0.29 ms (0.284" in found.why
    assert "91.2 kB, accuracy 97.11 % (95.7 to 98.2)" in found.why


def test_smallest_is_shipped_when_intervals_of_latency_overlap() -> None:
    first = timed(judged(measured("x86_64-openvino-int8"), "pass"), 0.9, 1.0, 1.1, 900)
    close = timed(judged(measured("x86_64-litert-int8"), "pass"), 1.05, 1.1, 1.2, 300)
    apart = timed(judged(measured("x86_64-executorch-int8"), "pass"), 1.15, 1.2, 1.3, 100)
    found = only([first, close, apart])
    assert found.target.key == "x86_64-litert-int8"
    assert "smallest of the fastest of 3 targets" in found.why
    assert "(x86_64-openvino-int8 is as fast within intervals)" in found.why


def test_file_and_what_lies_beside_it_are_named_when_a_target_is_shipped() -> None:
    target = judged(measured("x86_64-openvino-int8"), "pass")
    assert only([target]).head == "Ship x86_64-openvino-int8 on x86_64"
    there = replace(target, folder=Path("targets/exported/x86_64-openvino-int8"))
    assert only([there]).head == "Ship targets/exported/x86_64-openvino-int8/model.onnx on x86_64"
    assert there.exported is not None
    files = there.exported.files
    weights = files[0].model_copy(update={"path": "weights.bin"})
    exported = there.exported.model_copy(update={"files": (*files, weights)})
    assert (
        "/model.onnx with weights.bin on x86_64" in only([replace(there, exported=exported)]).head
    )


def test_nearest_and_its_obstacle_are_named_when_nothing_passed() -> None:
    far = judged(measured("x86_64-openvino-int8"), "fail", "fail", "pass")
    waiting = judged(measured("x86_64-litert-int8"), "fail", "not-run", "not-run")
    near = judged(measured("x86_64-litert-fp32"), "pass", "fail", "not-run")
    found = only([far, waiting, near])
    assert (found.ships, found.head) == (False, "Nothing to ship on x86_64 yet")
    assert found.why.startswith("nearest is x86_64-litert-fp32, gate_1 fail: reason 1")
    assert "1 more" in found.why


def test_one_that_only_waits_is_nearer_when_another_failed_one_gate() -> None:
    failed = judged(measured("x86_64-litert-int8"), "fail", "pass", "pass")
    waits = judged(measured("x86_64-litert-fp32"), "not-run", "not-run", "not-run")
    unjudged = replace(measured("x86_64-openvino-fp32"), verdicts=None)
    assert only([unjudged, failed, waits]).target.key == "x86_64-litert-fp32"
    assert "run its validate stage" in only([unjudged]).why


def test_one_without_a_file_is_farther_when_others_fail_or_wait() -> None:
    reason = NotExported(target=Target.parse("apple-coreml-int8"), reason="no", bundle_sha256="")
    away = judged(not_run("apple-coreml-int8"), "not-run")
    away = replace(away, exported=None, not_exported=reason)
    failed = judged(not_run("apple-coreml-fp32"), "fail", "not-run", "not-run")
    assert only([away, failed]).target.key == "apple-coreml-fp32"


def test_devices_with_something_to_ship_come_first_when_there_are_several(finished: Run) -> None:
    found = choices([not_run("apple-coreml-fp32"), *finished.targets])
    assert [choice.device for choice in found] == ["x86_64", "apple", "rtx", "jetson"]
    assert [choice.ships for choice in found] == [True, False, False, False]


def test_nothing_is_said_when_there_are_no_targets() -> None:
    assert choices([]) == []
