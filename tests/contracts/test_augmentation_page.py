"""docs/augmentation.md names every key of `augment`, and its examples hold as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgepress.params import parse_yaml
from edgepress.training.changes import Changes

TEXT = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
ROWS = re.findall(r"^\| `([a-z_]+)` \| `(\{.*?\})` \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_example_holds(block: str) -> None:
    assert Changes.model_validate(parse_yaml(block)["augment"]).model_fields_set


@pytest.mark.parametrize(("key", "value"), ROWS, ids=str)
def test_mapping_of_a_row_holds_and_names_every_key_of_it(key: str, value: str) -> None:
    named = parse_yaml(value)
    model = getattr(Changes.model_validate({key: named}), key)
    assert set(named) == set(type(model).model_fields)


def test_table_names_every_key() -> None:
    assert len(ROWS) == 5
    assert [key for key in Changes.model_fields if f"\n| `{key}` |" not in TEXT] == []
