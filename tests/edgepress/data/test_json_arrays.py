"""Elements of a JSON file: the same as json's own, with places that lead back to their bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepress.data import json_arrays
from edgepress.data.json_arrays import elements
from edgepress.errors import UserError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tree=st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=4),
    chunk=st.integers(1, 9),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
)
def test_elements_are_those_of_the_whole_whatever_is_read_at_a_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tree: dict[str, Any],
    chunk: int,
    indent: int | None,
    ascii_only: bool,
) -> None:
    monkeypatch.setattr(json_arrays, "_CHUNK", chunk)
    path = tmp_path / "a.json"
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only)
    path.write_text(text, encoding="utf-8")
    data = path.read_bytes()
    found: list[tuple[str, Any]] = []
    for each in elements(path):
        found.append((each.key, json.loads(data[each.start : each.start + each.length])))
    wanted = [
        (key, each)
        for key, value in tree.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    assert found == wanted


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1, {}]}')
    assert [(each.value, each.start, each.length) for each in elements(path)] == [
        (1, 10, 1),
        ({}, 13, 2),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": [1]} more', "line 1: expected the end of the file, found 'm'"),
        ('{"a": [1]\n"b": 2}', "line 2: expected a comma or the end of the object, found '\"'"),
        ('{"a" 1}', "expected a colon, found '1'"),
        ('{"a": [1 2]}', "expected a comma or the end of the array, found '2'"),
        ('{"a":\n\n [tru]}', "line 3: expected JSON, found 't'"),
        ('{"a": "cut', "expected JSON, found"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        list(elements(path))


def test_value_is_refused_when_it_is_larger_than_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_arrays, "_CHUNK", 16)
    monkeypatch.setattr(json_arrays, "_LARGEST", 64)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": ["x" * 500]}))
    with pytest.raises(UserError, match="line 1: expected JSON"):
        list(elements(path))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.json: cannot be read: No such file"):
        list(elements(tmp_path / "gone.json"))
