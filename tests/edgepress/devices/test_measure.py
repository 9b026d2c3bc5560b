"""Measure: a real export in its real runtime, and every way in which it can fail to be measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.devices import cpuid, host, measure, memory
from edgepress.devices.gates import Gates, judge
from edgepress.devices.latency import Plan
from edgepress.devices.measure import Reference
from edgepress.devices.subject import Subject
from edgepress.errors import UserError
from edgepress.records.measurement import Measurement
from edgepress.records.target import Target
from edgepress.records.verdict import Verdicts

PLAN = Plan(warmup=20, runs=400, threads=1, confidence=0.95, seed=0)
BOUNDS = Gates(
    max_accuracy_drop_points=2.0,
    min_cosine={"fp32": 0.9999, "int8": 0.98},
    max_p99_ms=200.0,
    max_size_mb=5.0,
    max_peak_memory_mb=1024.0,
    min_speedup=0.01,
)
HERE = f"{sorted(host.here().devices)[0]}-onnxruntime"
FP32, INT8 = f"{HERE}-fp32", f"{HERE}-int8"
Write = Callable[..., Subject]


@pytest.fixture
def inputs(digits: Any) -> Any:
    """Return the test images as the export's spec wants them, in batches."""
    return lambda subject: np.array_split(digits[1].inputs(subject.exported.input), 7)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the fresh process where it is not what is tested."""
    held = memory.Memory("ran", peak_mb=80.0, idle_mb=40.0)
    monkeypatch.setattr(memory, "measure", lambda folder, threads: held)


def verdicts(measurement: Measurement) -> Verdicts:
    return judge(measurement, BOUNDS, Target.parse(FP32))


def test_healthy_int8_is_measured_whole_and_passes(
    write: Write, model: Any, int8: Any, reference: Reference, inputs: Any
) -> None:
    baseline, subject = write(model, FP32), write(int8, INT8)
    found = measure.measure(subject, baseline, reference, inputs(subject), PLAN)
    assert found.not_run == {}
    assert found.parity is not None
    assert 0.999 < found.parity.cosine < 1
    assert found.accuracy is not None
    assert found.accuracy.images == 450
    assert found.latency is not None
    assert found.latency.speedup is not None
    assert found.latency.runs >= 400
    assert found.peak_memory_mb is not None
    assert 30 < found.peak_memory_mb < 500
    assert found.size_bytes == (subject.folder / "model.onnx").stat().st_size
    assert found.conditions.tools["onnxruntime"]
    # A p99 may be refused while other work shares the machine; nothing else may.
    assert {v.gate for v in verdicts(found).verdicts if v.outcome != "pass"} <= {"latency"}
    assert Measurement.model_validate_json(found.model_dump_json()) == found


@pytest.mark.usefixtures("quick")
def test_baseline_has_no_speedup(
    write: Write, model: Any, reference: Reference, inputs: Any
) -> None:
    subject = write(model, FP32)
    found = measure.measure(subject, None, reference, inputs(subject), PLAN)
    assert found.latency is not None
    assert found.latency.speedup is None
    assert found.parity is not None
    assert found.parity.cosine > 0.999999


@pytest.mark.usefixtures("quick")
def test_speedup_is_not_run_when_the_baseline_does_not_load(
    write: Write, model: Any, int8: Any, reference: Reference, inputs: Any
) -> None:
    baseline, subject = write(model, FP32), write(int8, INT8)
    (baseline.folder / "model.onnx").unlink()
    found = measure.measure(subject, baseline, reference, inputs(subject), PLAN)
    assert found.latency is not None
    assert found.latency.speedup is None
    (speedup,) = (v for v in verdicts(found).verdicts if v.gate == "speedup")
    assert speedup.outcome == "not-run"
    assert FP32 in speedup.reason


@pytest.mark.usefixtures("quick")
def test_times_are_not_run_when_this_machine_is_another_device(
    write: Write, model: Any, reference: Reference, inputs: Any
) -> None:
    subject = write(model, "pi5-onnxruntime-fp32")
    found = measure.measure(subject, None, reference, inputs(subject), PLAN)
    assert found.parity is not None
    assert found.accuracy is not None
    assert found.latency is None
    assert found.peak_memory_mb is None
    assert "not pi5" in found.not_run["latency"]
    judged = judge(found, BOUNDS, found.target)
    assert judged.outcome == "not-run"


@pytest.mark.usefixtures("quick")
def test_times_are_not_run_when_the_processor_is_emulated(
    write: Write,
    model: Any,
    reference: Reference,
    inputs: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host, "_emulated", lambda architecture, info: True)
    subject = write(model, FP32)
    found = measure.measure(subject, None, reference, inputs(subject), PLAN)
    assert found.conditions.emulated
    assert found.parity is not None
    assert found.latency is None
    assert "emulated" in found.not_run["latency"]
    assert "emulated" in found.not_run["memory"]


def test_stand_in_gives_parity_and_no_times_when_the_runtime_is_not_here(
    write: Write, model: Any, reference: Reference, inputs: Any
) -> None:
    subject = write(model, "jetson-tensorrt-fp32")
    found = measure.measure(subject, None, reference, inputs(subject), PLAN)
    assert found.parity is not None
    assert found.parity.cosine > 0.999999
    assert found.accuracy is not None
    assert found.latency is None
    assert found.peak_memory_mb is None
    outcomes = {v.gate: v.outcome for v in judge(found, BOUNDS, found.target).verdicts}
    assert outcomes["parity"] == outcomes["accuracy"] == "pass"
    assert outcomes["latency"] == outcomes["memory"] == "not-run"
    assert found.not_run["latency"]


def test_export_that_cannot_be_loaded_fails_integrity(
    write: Write, reference: Reference, inputs: Any
) -> None:
    subject = write(b"not a model at all", FP32)
    found = measure.measure(subject, None, reference, inputs(subject), PLAN)
    assert found.parity is None
    assert verdicts(found).outcome == "fail"
    assert verdicts(found).verdicts[0].gate == "integrity"


@pytest.mark.usefixtures("quick")
def test_batches_must_be_the_references(
    write: Write, model: Any, reference: Reference, inputs: Any
) -> None:
    subject = write(model, FP32)
    batches = inputs(subject)
    with pytest.raises(ValueError, match="more images than"):
        measure.measure(subject, None, reference, [*batches, batches[0]], PLAN)
    with pytest.raises(ValueError, match="for the reference's 450"):
        measure.measure(subject, None, reference, batches[:2], PLAN)


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
    import dataclasses

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


def test_reference_is_refused_when_its_parts_do_not_match(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    np.savez(path, ids=np.array(["a"]), labels=np.array([1, 2]), logits=np.ones((1, 3)))
    with pytest.raises(UserError, match="1 ids, 2 labels"):
        Reference.read(path, "x")
    np.savez(path, ids=np.array(["a"]))
    with pytest.raises(UserError, match="not a reference"):
        Reference.read(path, "x")
    path.write_bytes(b"PK broken")
    with pytest.raises(UserError, match="run quantize again"):
        Reference.read(path, "x")
    with pytest.raises(UserError, match="run quantize again"):
        Reference.read(tmp_path / "absent.npz", "x")


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
