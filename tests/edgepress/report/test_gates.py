from __future__ import annotations

from dataclasses import replace

from edgepress.report.gates import NO_VERDICTS, obstacles, table
from edgepress.report.run import Run


def test_verdicts_stand_under_their_gates_when_targets_have_different_ones(finished: Run) -> None:
    found = table(finished.targets)
    assert found.gates == ("accuracy", "parity", "latency", "size", "memory", "speedup")
    for row in found.rows:
        for gate, verdict in zip(found.gates, row.cells, strict=True):
            assert verdict is None or verdict.gate == gate
    by_key = {row.run.key: row.cells for row in found.rows}
    assert by_key["x86_64-onnxruntime-fp32"][-1] is None
    assert by_key["x86_64-executorch-int8"][-1].outcome == "fail"  # type: ignore[union-attr]


def test_a_reason_is_told_once_when_it_holds_for_many(finished: Run) -> None:
    found = obstacles(finished.targets)
    assert [obstacle.outcome for obstacle in found] == ["fail"] * 2 + ["not-run"] * 3
    mac = next(obstacle for obstacle in found if "Mac" in obstacle.reason)
    assert mac.targets == ("apple-coreml-fp32", "apple-coreml-int8")
    assert mac.gates == ("accuracy", "parity", "latency", "memory")


def test_a_target_is_not_run_when_it_has_no_verdicts(finished: Run) -> None:
    bare = replace(finished.targets[0], verdicts=None)
    assert bare.outcome == "not-run"
    assert [obstacle.reason for obstacle in obstacles([bare])] == [NO_VERDICTS]
