"""The table of faults in docs/measurement.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TASKS = ["classification", "multi-label", "segmentation", "detection", "keypoints"]


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "measurement.md").read_text()
    table = text.split("### Which gate blocks which fault")[1].split("\nCannot be seen")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_row_says_something_of_every_task_when_read() -> None:
    head, *faults = rows()
    assert head == ["fault", *TASKS, "tests"]
    assert all(len(row) == len(head) and all(row) for row in faults)


def test_every_test_is_there_when_the_table_names_it() -> None:
    folder = ROOT / "tests" / "edgepress"
    written = "".join(file.read_text() for file in sorted(folder.rglob("test_*.py")))
    known = set(re.findall(r"^def (test_\w+)\(", written, re.MULTILINE))
    named = {name for row in rows() for name in re.findall(r"`(test_\w+)`", row[-1])}
    assert named
    assert named <= known
