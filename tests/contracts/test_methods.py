"""Every file of a room that is a method has the shape of one, and says what it is."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest

from edgepress.methods import ROOMS, module, names
from edgepress.params import Config

METHODS = [(room, name) for room in ROOMS for name in names(room)]


@pytest.mark.parametrize("room", list(ROOMS))
def test_room_has_a_method_when_it_is_listed(room: str) -> None:
    assert names(room)


@pytest.mark.parametrize(("room", "name"), METHODS, ids=lambda part: str(part))
def test_method_has_the_shape_of_one_when_its_file_says_so(room: str, name: str) -> None:
    loaded = module(room, name)
    params, function = loaded.Params, getattr(loaded, ROOMS[room])
    assert issubclass(params, Config)
    assert params.model_config["frozen"]
    assert params.model_config["extra"] == "forbid"
    assert get_args(params.model_fields["method"].annotation) == (name,)
    taken = inspect.signature(function).parameters["params"]
    assert taken.kind is inspect.Parameter.KEYWORD_ONLY
    assert inspect.getdoc(function)


@pytest.mark.parametrize(("room", "name"), METHODS, ids=lambda part: str(part))
def test_method_says_what_it_is_when_listed(room: str, name: str) -> None:
    loaded = module(room, name)
    first = (loaded.__doc__ or "").strip().splitlines()[0]
    assert first.endswith("."), first
    assert len(first) <= 130, first
    fields = loaded.Params.model_fields.items()
    assert [key for key, field in fields if key != "method" and not field.description] == []
