"""The recipes of docs/training.md hold as they stand, and its tables name every part."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgepress.commands.preset import merge
from edgepress.methods import PARTS, module, names
from edgepress.params import parse_yaml
from edgepress.sections import problems

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_recipe_holds_when_merged_as_a_preset(block: str) -> None:
    before = (ROOT / "params.yaml").read_text()
    after = merge(before, parse_yaml(block), "docs/training.md")
    assert problems(parse_yaml(after), "params.yaml") == []
    assert after != before


@pytest.mark.parametrize(
    ("room", "name"), [(room, name) for room in PARTS.values() for name in names(room)], ids=str
)
def test_tables_name_every_part_and_its_parameters(room: str, name: str) -> None:
    row = next((line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")), "")
    fields = [key for key in module(room, name).Params.model_fields if key != "method"]
    assert [key for key in fields if f"`{key}`" not in row.split("|")[2]] == []
