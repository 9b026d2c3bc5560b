"""Measure: a real export in its real runtime, and every way in which it can fail to be measured."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.devices import cpuid, host
from edgepress.errors import UserError
from edgepress.records.measurement import Interval, Latency, Measurement
from edgepress.records.reference import SAMPLE, OpenReference, Reference, sampled
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec
from edgepress.records.verdict import Verdicts
from edgepress.runtimes import tensorrt
from edgepress.runtimes.session import NotHere
from edgepress.validation import latency, measure, memory
from edgepress.validation.alone import DisturbedError
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.latency import Plan
from edgepress.validation.subject import Subject
from edgepress.validation.timing import Timing

PLAN = Plan(Timing(warmup=20, runs=400, threads=1, confidence=0.95), seed=0)
GATES = Gates(
    max_drop=0.02,
    min_score={"accuracy": 0.8},
    min_class_score=0.3,
    max_error={"fp32": 0.001, "int8": 0.2},
    min_agreement={"fp32": 0.999, "int8": 0.97},
    min_speedup=0.01,
)
BUDGET = Budget(max_p99_ms=200.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
FP32, INT8 = f"{HERE}-fp32", f"{HERE}-int8"
Write = Callable[..., Subject]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the fresh process where it is not what is tested."""
    held = memory.Memory("ran", peak_mb=80.0, idle_mb=40.0)
    monkeypatch.setattr(memory, "measure", lambda folder, threads: held)


def verdicts(measurement: Measurement) -> Verdicts:
    return judge(measurement, GATES, BUDGET, Target.parse(FP32))


def test_healthy_int8_is_measured_whole_and_passes(
    write: Write, model: Any, int8: Any, truth: Any
) -> None:
    baseline, subject = write(model, FP32), write(int8, INT8)
    found = measure.measure(subject, baseline, truth(subject), PLAN)
    # A busy machine may be refused; nothing else may.
    assert set(found.not_run) <= {"latency", "speedup"}
    assert found.parity is not None
    assert 0 < found.parity.error < 0.1
    assert (found.parity.sample, found.parity.items) == (256, 450)
    assert found.score is not None
    assert (found.score.name, found.score.items) == ("accuracy", 450)
    assert found.score.drop is not None
    assert [score.of for score in found.scores].count(None) == 2
    assert found.peak_memory_mb is not None
    assert 30 < found.peak_memory_mb < 500
    assert found.size_bytes == (subject.folder / "model.onnx").stat().st_size
    assert {v.gate for v in verdicts(found).verdicts if v.outcome != "pass"} <= {
        "latency",
        "speedup",
    }
    assert Measurement.model_validate_json(found.model_dump_json()) == found


def fast(milliseconds: float, speedup: float | None) -> Latency:
    def near(value: float) -> Interval:
        return Interval(value=value, low=value, high=value)

    return Latency(
        p50_ms=near(milliseconds),
        p90_ms=near(milliseconds),
        p99_ms=near(milliseconds),
        runs=400,
        warmup_runs=10,
        threads=1,
        speedup=None if speedup is None else near(speedup),
    )


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Time nothing; return whether each measurement had a rival that loads and runs."""
    rivals: list[bool] = []

    def given(candidate: Any, baseline: Any, plan: Plan) -> Latency:
        for opener in filter(None, (candidate, baseline)):
            with opener() as call:
                call()
        rivals.append(baseline is not None)
        return fast(1.0, None if baseline is None else 2.0)

    monkeypatch.setattr(latency, "measure", given)
    return rivals


@pytest.mark.usefixtures("quick")
def test_baseline_has_no_speedup(write: Write, model: Any, truth: Any, timed: list[bool]) -> None:
    subject = write(model, FP32)
    found = measure.measure(subject, None, truth(subject), PLAN)
    assert found.latency is not None
    assert found.latency.speedup is None
    assert timed == [False]
    assert found.parity is not None
    assert found.parity.error < 1e-4


@pytest.mark.usefixtures("quick")
def test_speedup_is_not_run_when_the_baseline_does_not_load(
    write: Write, model: Any, int8: Any, truth: Any, timed: list[bool]
) -> None:
    baseline, subject = write(model, FP32), write(int8, INT8)
    measure.measure(subject, baseline, truth(subject), PLAN)
    (baseline.folder / "model.onnx").unlink()
    found = measure.measure(subject, baseline, truth(subject), PLAN)
    assert timed == [True, False]
    (speedup,) = (v for v in verdicts(found).verdicts if v.gate == "speedup")
    assert speedup.outcome == "not-run"
    assert FP32 in speedup.reason


@pytest.mark.usefixtures("quick")
def test_times_are_not_run_when_this_machine_is_another_device(
    write: Write, model: Any, truth: Any
) -> None:
    subject = write(model, "pi5-onnxruntime-fp32")
    found = measure.measure(subject, None, truth(subject), PLAN)
    assert found.parity is not None
    assert found.scores
    assert found.latency is None
    assert found.peak_memory_mb is None
    assert "not pi5" in found.not_run["latency"]
    judged = judge(found, GATES, BUDGET, found.target)
    assert judged.outcome == "not-run"


@pytest.mark.usefixtures("quick")
def test_times_are_not_run_when_the_processor_is_emulated(
    write: Write,
    model: Any,
    truth: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host, "_emulated", lambda architecture, info: True)
    subject = write(model, FP32)
    found = measure.measure(subject, None, truth(subject), PLAN)
    assert found.conditions.emulated
    assert found.parity is not None
    assert found.latency is None
    assert "emulated" in found.not_run["latency"]
    assert "emulated" in found.not_run["memory"]


def test_stand_in_gives_parity_and_no_times_when_the_runtime_is_not_here(
    write: Write, model: Any, truth: Any
) -> None:
    subject = write(model, "jetson-tensorrt-fp32")
    found = measure.measure(subject, None, truth(subject), PLAN)
    assert found.parity is not None
    assert found.parity.error < 1e-4
    assert found.scores
    assert found.latency is None
    assert found.peak_memory_mb is None
    outcomes = {v.gate: v.outcome for v in judge(found, GATES, BUDGET, found.target).verdicts}
    assert outcomes["parity"] == outcomes["drop"] == outcomes["accuracy"] == "pass"
    assert outcomes["latency"] == outcomes["memory"] == "not-run"
    assert found.not_run["latency"]


def test_both_reasons_are_told_when_the_stand_in_cannot_follow_the_graph(
    write: Write, model: Any, truth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object, **__: object) -> None:
        raise NotHere("the stand-in does not know Frobnicate")

    monkeypatch.setattr(tensorrt, "stand_in", unable)
    subject = write(model, "jetson-tensorrt-fp32")
    found = measure.measure(subject, None, truth(subject), PLAN)
    assert found.not_run["parity"].endswith("; the stand-in does not know Frobnicate")
    assert found.not_run["parity"] != "the stand-in does not know Frobnicate"
    assert verdicts(found).outcome == "not-run"


def test_export_that_cannot_be_loaded_fails_integrity(write: Write, truth: Any) -> None:
    subject = write(b"not a model at all", FP32)
    found = measure.measure(subject, None, truth(subject), PLAN)
    assert found.parity is None
    assert verdicts(found).outcome == "fail"
    assert verdicts(found).verdicts[0].gate == "integrity"


@pytest.mark.usefixtures("quick", "timed")
def test_batches_must_be_the_references(write: Write, model: Any, truth: Any) -> None:
    subject = write(model, FP32)
    held = truth(subject)
    more = dataclasses.replace(held, batches=[*held.batches, held.batches[0]])
    with pytest.raises(ValueError, match="more items than"):
        measure.measure(subject, None, more, PLAN)
    fewer = dataclasses.replace(held, batches=held.batches[:2])
    with pytest.raises(ValueError, match="for the reference's 450"):
        measure.measure(subject, None, fewer, PLAN)


@pytest.mark.usefixtures("quick")
def test_latency_is_not_run_when_the_machine_was_too_busy(
    write: Write, model: Any, truth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*parts: object) -> None:
        raise DisturbedError("other programs took the processor (load average 7.0)")

    monkeypatch.setattr(latency, "measure", busy)
    subject = write(model, FP32)
    found = measure.measure(subject, None, truth(subject), PLAN)
    assert found.latency is None
    assert "load average 7.0" in found.not_run["latency"]
    outcomes = {v.gate: v.outcome for v in verdicts(found).verdicts}
    assert outcomes["latency"] == "not-run"
    assert outcomes["parity"] == "pass"


def test_crash_of_the_runtime_is_a_failure_and_not_ours(
    write: Write, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nkill -SEGV $$\n")
    fake.chmod(0o755)
    monkeypatch.setattr(memory.sys, "executable", str(fake))
    held = memory.measure(write(model, FP32).folder, 1)
    assert held.status == "failed"
    assert "SIGSEGV" in held.reason


def test_peak_memory_counts_the_model(write: Write, weights: Any, graph: Any) -> None:
    from onnx import helper, numpy_helper

    big = graph(weights)
    extra = np.ones((3 * 16 * 16, 20_000), np.float32)
    big.graph.initializer.append(numpy_helper.from_array(extra, "extra"))
    big.graph.node.append(helper.make_node("MatMul", ["a", "extra"], ["x"], name="extra"))
    big.graph.node.append(helper.make_node("ReduceSum", ["x"], ["y"], name="sum"))
    big.graph.node[4].input[0] = "z"
    big.graph.node.insert(4, helper.make_node("Add", ["d", "y"], ["z"], name="add"))
    small = memory.measure(write(graph(weights), FP32).folder, 1)
    assert small.status == "ran"
    assert small.peak_mb is not None
    assert small.idle_mb is not None
    assert 10 < small.idle_mb < small.peak_mb
    assert dataclasses.asdict(small)["reason"] == ""
    nodes = list(big.graph.node)
    order = [*nodes[:4], *nodes[6:], nodes[4], nodes[5]]
    del big.graph.node[:]
    big.graph.node.extend(order)
    large = memory.measure(write(big, FP32).folder, 1)
    assert large.status == "ran", large.reason
    assert large.peak_mb is not None
    assert large.peak_mb - small.peak_mb > 50


def test_reference_comes_back_and_is_refused_when_changed(
    tmp_path: Path, reference: OpenReference
) -> None:
    Reference.create(tmp_path, reference)
    again = Reference.open(tmp_path, reference.bundle_sha256)
    assert (again.ids, again.rows) == (reference.ids, reference.rows)
    for part in ("truth", "answers", "raw"):
        for name, values in getattr(reference, part).items():
            np.testing.assert_array_equal(getattr(again, part)[name], values)
    (tmp_path / SAMPLE).write_bytes(b"PK broken")
    with pytest.raises(UserError, match="run quantize again"):
        Reference.open(tmp_path, "x")


def test_sample_is_bounded_and_chosen_by_the_hash_of_ids() -> None:
    ids = [f"image-{index}" for index in range(1000)]
    small = (TensorSpec(name="y", shape=(1, 10), layout="NC"),)
    large = (TensorSpec(name="y", shape=(1, 19, 1024, 2048), layout="NCHW"),)
    chosen = sampled(ids, small)
    assert len(chosen) == 256
    assert list(chosen) == sorted(chosen)
    assert len(sampled(ids, large)) == 1
    kept = {ids[row] for row in chosen}
    assert {ids[::-1][row] for row in sampled(ids[::-1], small)} == kept


def test_damage_names_the_file_and_what_is_wrong(write: Write, model: Any) -> None:
    subject = write(model, FP32)
    assert subject.damage("b" * 64) is None
    assert "export it anew" in str(subject.damage("c" * 64))
    file = subject.folder / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    assert f"{len(whole) - 5} bytes instead of {len(whole)}" in str(subject.damage("b" * 64))
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "sha256" in str(subject.damage("b" * 64))
    shutil.rmtree(subject.folder)
    assert "missing" in str(subject.damage("b" * 64))


def test_cpuid_is_silent_off_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    cpuid.cpuid.cache_clear()
    monkeypatch.setattr(cpuid.platform, "machine", lambda: "aarch64")
    assert cpuid.flags() == ()
    assert cpuid.brand() == ""
    assert not cpuid.emulated()
    cpuid.cpuid.cache_clear()
