"""Tasks are known by name in their own folders alone, and each keeps the four promises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from edgepress.methods import names
from tests.classified import open_task

ROOT = Path(__file__).parents[2]
TASKS = names("tasks")
FILES = [
    path
    for folder in ("edgepress", "stages", "flows")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "tasks" not in path.parts
    and path.name != "_schema1.py"  # which reads what had but one task
    # Formats of others have words of their own for what is on a picture.
    and path.parent.name not in {"sources", "writers"}
]


def test_no_file_outside_the_room_names_a_task() -> None:
    naming = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in TASKS
    ]
    assert naming == []


def test_classification_and_segmentation_are_there() -> None:
    assert {"classification", "segmentation"} <= set(TASKS)


@pytest.mark.parametrize("part", ["labels", "answers", "learner", "pictures"])
def test_every_part_of_a_task_opens_when_asked_for(part: str) -> None:
    assert getattr(open_task(("a", "b")), part)
