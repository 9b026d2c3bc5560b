from __future__ import annotations

import logging
import os
import sys

import pytest

from edgepress.runtimes.quiet import quiet


def test_nothing_is_printed_when_tools_and_native_code_write(capfd, caplog):
    with caplog.at_level(logging.DEBUG, "edgepress.runtimes.quiet"), quiet("tool"):
        os.write(1, b"from native code\n")
        sys.stderr.write("from Python\n")
    print("after")  # noqa: T201 (what a stage itself prints still arrives)
    assert capfd.readouterr() == ("after\n", "")
    assert "from native code" in caplog.text
    assert "from Python" in caplog.text


def test_output_comes_back_when_the_block_raises(capfd):
    with pytest.raises(ValueError, match="boom"), quiet("tool"):
        raise ValueError("boom")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"
