"""The recipes of docs/training.md hold as they stand, and its tables name every part."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgepress import recipes
from edgepress.commands.preset import merge
from edgepress.methods import PARTS, module, names
from edgepress.params import parse_yaml
from edgepress.sections import problems
from edgepress.training.recipe import Recipe

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_recipe_holds_when_merged_as_a_preset(block: str) -> None:
    before = (ROOT / "params.yaml").read_text()
    after = merge(before, parse_yaml(block), "docs/training.md")
    assert problems(parse_yaml(after), "params.yaml") == []
    assert after != before


def test_table_names_every_recipe() -> None:
    assert [name for name in recipes.known() if f"\n| `{name}` |" not in TEXT] == []


def test_table_names_every_key_that_does_nothing_where_it_is_not_named() -> None:
    optional = [key for key, field in Recipe.model_fields.items() if not field.is_required()]
    assert [key for key in optional if key != "compile" and f"\n| `{key}` |" not in TEXT] == []


@pytest.mark.parametrize(
    ("room", "name"), [(room, name) for room in PARTS.values() for name in names(room)], ids=str
)
def test_tables_name_every_part_and_its_parameters(room: str, name: str) -> None:
    row = next((line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")), "")
    fields = [key for key in module(room, name).Params.model_fields if key != "method"]
    assert [key for key in fields if f"`{key}`" not in row.split("|")[2]] == []
