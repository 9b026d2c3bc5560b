from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.errors import UserError
from edgepress.records.target import Target

WORDS = st.from_regex(r"[a-z0-9]+(_[a-z0-9]+)*", fullmatch=True)


@given(WORDS, WORDS, WORDS)
def test_target_is_the_same_when_written_as_a_key_and_parsed(a: str, b: str, c: str) -> None:
    target = Target(device=a, runtime=b, precision=c)
    assert Target.parse(str(target)) == target


@pytest.mark.parametrize(
    "key",
    ["", "a", "a-b", "a-b-c-d", "a--c", "-a-b", "A-b-c", "a-b-c ", "a_-b-c", "a/b-c-d", "a-..-c"],
)
def test_parse_refuses_when_the_key_is_not_three_plain_words(key: str) -> None:
    with pytest.raises(UserError, match="expected device-runtime-precision"):
        Target.parse(key)
