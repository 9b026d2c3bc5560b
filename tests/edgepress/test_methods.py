from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgepress import methods
from edgepress.errors import UserError

SOURCE = '''"""Shrinks by half.

More.
"""
from typing import Literal
from pydantic import Field
from edgepress.params import Config

class Params(Config):
    """Parameters."""
    method: Literal["half"]
    """Name."""
    times: int = Field(gt=0)
    """Times."""

def prune(value: int, *, params: Params) -> int:
    return value >> params.times
'''


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library whose only method is pruning.half, with files beside it that are none."""
    folder = tmp_path / "pruning"
    folder.mkdir()
    (folder / "half.py").write_text(SOURCE)
    (folder / "_hidden.py").write_text(SOURCE)
    (folder / "rounding.py").write_text("def prune(): ...\n")
    (folder / "shape.py").write_text("class Params: ...\n")
    monkeypatch.setattr(methods, "_PACKAGE", tmp_path)
    monkeypatch.setattr("edgepress.pruning.__path__", [str(folder)])
    monkeypatch.delitem(sys.modules, "edgepress.pruning.half", raising=False)
    return folder


def test_names_lists_only_files_of_the_shape_when_others_lie_beside(room: Path) -> None:
    assert methods.names("pruning") == ["half"]


def test_summary_is_the_first_docstring_line_when_nothing_is_imported(room: Path) -> None:
    assert methods.summary("pruning", "half") == "Shrinks by half."
    assert "edgepress.pruning.half" not in sys.modules


def test_resolved_method_runs_with_its_parameters_when_called(room: Path) -> None:
    half = methods.resolve("pruning", {"method": "half", "times": 3}, "params.yaml", "slim")
    assert half(80) == 10
    assert half.name == "half"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"method": "halv", "times": 1}, ["slim.method: 'halv'", "half", "did you mean half?"]),
        ({"method": "os.system", "times": 1}, ["slim.method: 'os.system' is not one of half"]),
        ({"method": "rounding"}, ["'rounding' is not one of half"]),
        ({"times": 1}, ["slim: expected a mapping with a 'method' name"]),
        ({"method": 3}, ["slim: expected a mapping with a 'method' name"]),
        ("half", ["slim: expected a mapping with a 'method' name, got 'half'"]),
        ({"method": "half", "times": 0}, ["slim.times", "greater than 0"]),
        ({"method": "half", "times": 1, "tims": 2}, ["slim.tims: unknown key", "times"]),
    ],
)
def test_resolve_refuses_in_one_line_when_the_entry_is_wrong(
    room: Path, raw: object, words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        methods.resolve("pruning", raw, "params.yaml", "slim")
    assert all(word in str(caught.value) for word in ["params.yaml", *words]), str(caught.value)
