from __future__ import annotations

from edgepress.errors import UserError, nearest


def test_user_error_is_one_line_when_the_message_has_several() -> None:
    assert str(UserError("a: b\n   c\td")) == "a: b c d"


def test_nearest_suggests_when_a_name_is_close() -> None:
    assert nearest("ptqq", ["ptq", "qat", "codebook"]) == " (did you mean ptq?)"


def test_nearest_is_silent_when_nothing_is_close() -> None:
    assert nearest("zzz", ["ptq", "qat"]) == ""
