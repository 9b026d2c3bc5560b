"""Gates: what is proven passes, what is not proven does not, and the reason gives the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.devices.energy import unavailable
from edgepress.errors import UserError
from edgepress.records.measurement import (
    Conditions,
    Interval,
    Latency,
    Measurement,
    OutputParity,
    Parity,
    Score,
)
from edgepress.records.target import Target
from edgepress.records.verdict import Verdict, Verdicts
from edgepress.validation import gates
from edgepress.validation.gates import Budget, Gates

FP32 = Target.parse("x86_64-onnxruntime-fp32")
INT8 = Target.parse("x86_64-onnxruntime-int8")
GATES = Gates(
    max_drop=0.02,
    min_score={"accuracy": 0.9},
    min_class_score=0.7,
    max_error={"fp32": 0.001, "int8": 0.2},
    min_agreement={"fp32": 0.999, "int8": 0.97},
    min_speedup=1.0,
)
BUDGET = Budget(max_p99_ms=20.0, max_size_mb=5.0, max_peak_memory_mb=1024.0)


def judge(measurement: Measurement, baseline: Target = FP32) -> Verdicts:
    return gates.judge(measurement, GATES, BUDGET, baseline)


def around(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high)


LATENCY = Latency(
    p50_ms=around(2.0, 1.9, 2.1),
    p90_ms=around(2.5, 2.4, 2.6),
    p99_ms=around(4.0, 3.0, 6.0),
    runs=1000,
    warmup_runs=100,
    threads=1,
    speedup=around(1.5, 1.4, 1.6),
)


def near(error: float, agreement: float = 0.99, changed: int = 4) -> Parity:
    output = OutputParity(name="logits", error=error, cosine=0.999, max_abs=0.5)
    return Parity(outputs=(output,), sample=256, agreement=agreement, changed=changed, items=450)


ACCURACY = Score(
    name="accuracy",
    value=around(0.95, 0.92, 0.97),
    drop=around(0.004, -0.005, 0.014),
    constant=0.2,
    items=450,
)
CAT = Score(name="recall", of="cat", value=around(0.9, 0.8, 0.95), items=40)
DOG = Score(name="recall", of="dog", value=around(0.95, 0.9, 0.98), items=60)
GOOD = Measurement(
    target=INT8,
    exported_sha256="a" * 64,
    size_bytes=1_000_000,
    parity=near(0.1),
    scores=(ACCURACY, CAT, DOG),
    latency=LATENCY,
    peak_memory_mb=100.0,
    energy=unavailable("no counter"),
    conditions=Conditions(
        machine="test",
        cores=2,
        isa_flags=("avx2",),
        emulated=False,
        load_average=0.5,
        cpu_mhz=None,
        temperature_c=None,
        throttled=None,
        tools={},
    ),
    not_run={},
)


def verdict(measurement: Measurement, gate: str) -> Verdict:
    (found,) = (v for v in judge(measurement).verdicts if v.gate == gate)
    return found


def test_everything_passes_when_everything_is_proven() -> None:
    verdicts = judge(GOOD)
    assert verdicts.outcome == "pass"
    assert [v.gate for v in verdicts.verdicts] == [
        "integrity",
        "parity",
        "agreement",
        "drop",
        "accuracy",
        "class_score",
        "accuracy_above_constant",
        "latency",
        "size",
        "memory",
        "speedup",
    ]


def test_baseline_has_no_speedup_gate() -> None:
    own = GOOD.model_copy(
        update={
            "target": FP32,
            "parity": near(0.0, 1.0, 0),
        }
    )
    assert "speedup" not in [v.gate for v in judge(own).verdicts]
    assert judge(own).outcome == "pass"


FLOAT = GOOD.model_copy(update={"target": FP32, "parity": near(0.0, 1.0, 0)})


@pytest.mark.parametrize(
    ("parity", "said"),
    [(near(0.05, 1.0, 0), "parity: logits differs"), (near(0.0, 0.9), "agreement: 4 of 450")],
)
def test_int8_is_blocked_when_its_baseline_does_not_answer_as_the_bundle(
    parity: Parity, said: str
) -> None:
    spoilt = FLOAT.model_copy(update={"parity": parity})
    verdicts = gates.judge(GOOD, GATES, BUDGET, FP32, spoilt)
    (found,) = (v for v in verdicts.verdicts if v.outcome != "pass")
    assert (found.gate, found.outcome) == ("baseline", "fail")
    assert found.reason.startswith(f"{FP32}: {said}")


def test_int8_passes_when_its_baseline_is_only_too_large_or_too_slow() -> None:
    slow = LATENCY.model_copy(update={"p99_ms": around(90.0, 80.0, 99.0)})
    heavy = FLOAT.model_copy(update={"size_bytes": 9_000_000, "latency": slow})
    verdicts = gates.judge(GOOD, GATES, BUDGET, FP32, heavy)
    assert verdicts.outcome == "pass"
    assert "baseline" in {each.gate for each in verdicts.verdicts}


def test_int8_is_not_proven_when_its_baseline_was_not_exported() -> None:
    gone = FLOAT.model_copy(
        update={"parity": None, "not_run": {"export": "no exporter", "parity": "no exporter"}}
    )
    verdicts = gates.judge(GOOD, GATES, BUDGET, FP32, gone)
    assert verdicts.outcome == "not-run"


def test_baseline_is_not_held_against_itself() -> None:
    verdicts = gates.judge(FLOAT, GATES, BUDGET, FP32, FLOAT)
    assert "baseline" not in {each.gate for each in verdicts.verdicts}


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("parity", {"parity": near(0.21)}),
        ("agreement", {"parity": near(0.1, 0.96, 18)}),
        ("drop", {"scores": (ACCURACY.model_copy(update={"drop": around(0, -0.03, 0.021)}),)}),
        ("accuracy", {"scores": (ACCURACY.model_copy(update={"value": around(0.93, 0.89, 1)}),)}),
        (
            "class_score",
            {"scores": (ACCURACY, DOG, CAT.model_copy(update={"value": around(0.8, 0.69, 1)}))},
        ),
        (
            "accuracy_above_constant",
            {"scores": (ACCURACY.model_copy(update={"constant": 0.93}),)},
        ),
        ("latency", {"latency": LATENCY.model_copy(update={"p99_ms": around(19, 15, 21)})}),
        ("size", {"size_bytes": 5_000_001}),
        ("memory", {"peak_memory_mb": 1024.1}),
        ("speedup", {"latency": LATENCY.model_copy(update={"speedup": around(1.2, 0.99, 1.4)})}),
        ("integrity", {"not_run": {"integrity": "model.onnx is missing"}}),
    ],
)
def test_gate_fails_when_the_worse_end_is_beyond_the_bound(gate: str, change: dict) -> None:
    measurement = GOOD.model_copy(update=change)
    assert verdict(measurement, gate).outcome == "fail"
    assert judge(measurement).outcome == "fail"


def test_two_outputs_with_one_scale_are_rejected_by_name_and_one_output_has_no_such_gate() -> None:
    output = OutputParity(name="boxes", error=0.1, cosine=0.999, max_abs=0.5)
    outputs = (output, output.model_copy(update={"name": "scores"}))
    whole = near(0.1).model_copy(update={"outputs": outputs, "one_scale": ()})
    joined = whole.model_copy(update={"one_scale": (("boxes", "scores"),)})
    assert verdict(GOOD.model_copy(update={"parity": whole}), "own_scale").outcome == "pass"
    found = verdict(GOOD.model_copy(update={"parity": joined}), "own_scale")
    assert found.outcome == "fail"
    assert "one scale of 8 bits for boxes and scores" in found.reason
    alone = GOOD.model_copy(update={"parity": near(0.1).model_copy(update={"one_scale": ()})})
    assert "own_scale" not in {each.gate for each in judge(alone).verdicts}


def test_slow_int8_is_rejected_with_the_numbers() -> None:
    slow = LATENCY.model_copy(
        update={"p50_ms": around(0.38, 0.37, 0.39), "speedup": around(0.79, 0.77, 0.81)}
    )
    reason = verdict(GOOD.model_copy(update={"latency": slow}), "speedup").reason
    assert "0.79 (0.77 to 0.81) times as fast as x86_64-onnxruntime-fp32" in reason
    assert "0.38 ms against 0.3002 ms" in reason
    assert "keep fp32" in reason


PARTS = {
    "parity": ("parity", None, ["parity", "agreement", "drop"]),
    "scores": ("scores", (), ["drop", "score", "class_score", "above_constant"]),
    "latency": ("latency", None, ["latency", "speedup"]),
    "memory": ("peak_memory_mb", None, ["memory"]),
}


@given(st.sets(st.sampled_from(sorted(PARTS)), min_size=1), st.booleans())
def test_gate_never_passes_when_its_part_was_not_measured(missing: set[str], told: bool) -> None:
    gone = GOOD.model_copy(
        update={
            **{PARTS[part][0]: PARTS[part][1] for part in missing},
            "not_run": {part: f"no {part} here" for part in missing} if told else {},
        }
    )
    verdicts = judge(gone)
    assert verdicts.outcome == "not-run"
    blocked = {gate for part in missing for gate in PARTS[part][2]}
    for one in verdicts.verdicts:
        assert one.outcome == ("not-run" if one.gate in blocked else "pass")
        assert one.reason
        if told and one.gate in missing:
            assert one.reason == f"no {one.gate} here"


def test_drop_passes_by_its_own_statement_when_no_answer_changed() -> None:
    """40 items cannot bound a drop by 2 points; that not one answer changed says more."""
    wide = ACCURACY.model_copy(update={"drop": around(0, -0.088, 0.088), "items": 40})
    few = GOOD.model_copy(update={"scores": (wide,)})
    assert verdict(few, "drop").outcome == "fail"
    same = few.model_copy(update={"parity": near(0.1, 1.0, 0)})
    assert verdict(same, "drop").outcome == "pass"
    assert "not one of 450 answers changed" in verdict(same, "drop").reason


def test_worst_class_is_named_when_one_is_below_its_bound() -> None:
    poor = CAT.model_copy(update={"value": around(0.5, 0.3, 0.7)})
    found = verdict(GOOD.model_copy(update={"scores": (ACCURACY, DOG, poor)}), "class_score")
    assert "recall of 'cat' 0.5 (0.3 to 0.7) on 40 items" in found.reason


def test_score_that_is_an_error_is_held_from_above() -> None:
    error = Score(name="accuracy", unit="px", better="lower", value=around(0.5, 0.4, 0.95), items=9)
    measured = GOOD.model_copy(update={"scores": (error,)})
    assert verdict(measured, "accuracy").outcome == "fail"
    lower = error.model_copy(update={"value": around(0.5, 0.4, 0.6)})
    assert verdict(GOOD.model_copy(update={"scores": (lower,)}), "accuracy").outcome == "pass"


def test_unknown_score_is_the_users_to_mend() -> None:
    bounds = GATES.model_copy(update={"min_score": {"acuracy": 0.5}})
    with pytest.raises(UserError, match=r"min_score: 'acuracy' is not one of accuracy \(did you"):
        gates.judge(GOOD, bounds, BUDGET, FP32)


def test_target_is_not_run_when_it_was_not_exported() -> None:
    gone = GOOD.model_copy(update={"not_run": {"export": "not exported: coreml: no top_k"}})
    (only,) = judge(gone).verdicts
    assert (only.gate, only.outcome) == ("export", "not-run")
    assert "no top_k" in only.reason


def test_latency_is_not_run_when_p99_was_refused() -> None:
    few = GOOD.model_copy(update={"latency": LATENCY.model_copy(update={"p99_ms": None})})
    assert verdict(few, "latency").outcome == "not-run"
    assert "validate.runs" in verdict(few, "latency").reason


def test_precision_without_a_bound_is_the_users_to_mend() -> None:
    other = GOOD.model_copy(update={"target": Target.parse("x86_64-onnxruntime-int9")})
    with pytest.raises(UserError, match=r"max_error.*'int9'.*fp32, int8 \(did you mean int8"):
        judge(other)


def test_reason_says_keep_the_baseline_when_the_speedup_may_be_none() -> None:
    latency = LATENCY.model_copy(update={"speedup": around(1.02, 0.98, 1.06)})
    assert "keep fp32" in verdict(GOOD.model_copy(update={"latency": latency}), "speedup").reason
    assert "keep fp32" not in verdict(GOOD, "speedup").reason
