from __future__ import annotations

from pathlib import Path

from edgepress.records.target import Target
from edgepress.records.verdict import Outcome, Verdict, Verdicts
from flows.tables import StageResult, stages_table, verdicts_table


def verdict(gate: str, outcome: Outcome) -> Verdict:
    return Verdict(gate=gate, outcome=outcome, value=1, bound=2, unit="ms", reason=f"{gate} why")


def test_stages_table_shows_time_and_reason_when_some_failed() -> None:
    table = stages_table(
        [StageResult("train", "ran", 12.34, ""), StageResult("slim", "failed", None, "a | b")]
    )
    assert table.splitlines()[2:] == ["| train | ran | 12.3 |  |", "| slim | failed |  | a \\| b |"]


def test_verdicts_table_gives_reasons_when_a_gate_did_not_pass(tmp_path: Path) -> None:
    for key, outcome in {"a-x-fp32": "pass", "b-x-int8": "fail"}.items():
        both = (verdict("parity", "pass"), verdict("latency", outcome))  # type: ignore[arg-type]
        Verdicts(target=Target.parse(key), verdicts=both).write(tmp_path / key)
    assert verdicts_table(tmp_path) == [
        {"target": "a-x-fp32", "outcome": "pass", "why": ""},
        {"target": "b-x-int8", "outcome": "fail", "why": "latency why"},
    ]


def test_verdicts_table_is_empty_when_nothing_was_measured(tmp_path: Path) -> None:
    assert verdicts_table(tmp_path) == []
