from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from edgepress.errors import UserError
from edgepress.params import Config, lookup, read_yaml, validate


class Split(Config):
    """Shares."""

    val: float = Field(gt=0, lt=1)
    """Share."""


class Demo(Config):
    """A section."""

    epochs: int = Field(gt=0)
    """Passes."""
    rate: float
    """Step."""
    sides: tuple[int, ...] = (1,)
    """Sides."""
    split: Split | None = None
    """Shares."""


def refuse(raw: object) -> str:
    with pytest.raises(UserError) as caught:
        validate(Demo, raw, "params.yaml", "train")
    return str(caught.value)


def test_validate_takes_lists_and_whole_floats_when_they_fit() -> None:
    demo = validate(Demo, {"epochs": 2, "rate": 1, "sides": [1, 3]}, "params.yaml", "train")
    assert (demo.rate, demo.sides) == (1.0, (1, 3))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"epochs": 0, "rate": 0.1}, ["params.yaml: train.epochs", "greater than 0", "got 0"]),
        ({"epochs": "3", "rate": 0.1}, ["train.epochs", "integer", "got '3'"]),
        ({"epochs": True, "rate": 0.1}, ["train.epochs", "got True"]),
        ({"epochs": 2.5, "rate": 0.1}, ["train.epochs", "got 2.5"]),
        ({"epochs": 1, "rate": None}, ["train.rate", "got None"]),
        ({"epochs": 1}, ["train.rate: missing"]),
        ({"epochs": 1, "rate": 0.1, "epoch": 3}, ["train.epoch: unknown", "did you mean epochs?"]),
        ({"epochs": 1, "rate": 0.1, "split": {"val": 2}}, ["train.split.val", "less than 1"]),
        ([1, 2], ["train", "expected a mapping", "[1, 2]"]),
    ],
)
def test_validate_names_key_rule_and_value_when_refused(raw: object, words: list[str]) -> None:
    line = refuse(raw)
    assert all(word in line for word in words), line
    assert "\n" not in line


def test_validate_tells_every_broken_rule_when_there_are_several() -> None:
    line = refuse({"epochs": -1})
    assert "train.epochs" in line
    assert "train.rate: missing" in line


def test_read_yaml_names_the_file_when_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: file not found"):
        read_yaml(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1", "not valid YAML"),
        (b"- 1\n- 2\n", "expected a mapping at the top, got list"),
        (b"", "expected a mapping at the top, got NoneType"),
        (b"a: \xff\xfe", "cannot be read"),
    ],
)
def test_read_yaml_refuses_in_one_line_when_broken(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lookup_names_place_and_neighbours_when_a_key_is_missing() -> None:
    tree = {"train": {"epochs": 1, "recipe": {"batch": 2}}}
    assert lookup(tree, "train.recipe.batch", "params.yaml") == 2
    with pytest.raises(UserError) as caught:
        lookup(tree, "train.epoch", "params.yaml")
    assert "'epoch' is missing under train" in str(caught.value)
    assert "did you mean epochs?" in str(caught.value)
    with pytest.raises(UserError, match="under the top level"):
        lookup(tree, "distill", "params.yaml")
