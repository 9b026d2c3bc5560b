"""What a flow run leaves in Prefect for people: its stages and the verdicts, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from edgepress.records.verdict import Verdicts

JUDGED = Path("targets/judged")


@dataclass(frozen=True)
class StageResult:
    """One stage's part in a flow run."""

    stage: str
    outcome: Literal["ran", "restored", "unchanged", "failed", "not started"]
    seconds: float | None
    line: str
    """Why it failed."""


def publish(rows: list[StageResult]) -> None:
    """Write both tables as artifacts of the flow run."""
    create_markdown_artifact(
        key="stages", markdown=stages_table(rows), description="What each stage did and took"
    )
    create_table_artifact(
        key="verdicts", table=verdicts_table(JUDGED), description="What the gates said per target"
    )


def stages_table(rows: list[StageResult]) -> str:
    """Return the Markdown table of stages in the order they ended."""
    lines = ["| stage | outcome | seconds | why |", "|---|---|---:|---|"]
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        why = row.line.replace("|", "\\|")
        lines.append(f"| {row.stage} | {row.outcome} | {seconds} | {why} |")
    return "\n".join(lines) + "\n"


def verdicts_table(folder: Path) -> list[dict[str, str]]:
    """Return a row per measured target: its outcome, and the reason of every gate not passed."""
    records = [Verdicts.read(path.parent) for path in sorted(folder.glob("*/verdicts.json"))]
    return [
        {
            "target": str(record.target),
            "outcome": record.outcome,
            "why": "; ".join(v.reason for v in record.verdicts if v.outcome != "pass"),
        }
        for record in records
    ]
