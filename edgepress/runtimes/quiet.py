"""Quiet: what a third-party tool prints goes to the debug log, native code included."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO

_log = logging.getLogger(__name__)


@contextmanager
def quiet(tool: str) -> Iterator[None]:
    """Keep the block's standard output and error off the terminal; EDGEPRESS_LOG=DEBUG shows it.

    Works on file descriptors, thus for the whole process: C++ libraries know no other switch.
    """
    _flush()
    kept = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    with tempfile.TemporaryFile() as heard:
        for descriptor, _ in kept:
            os.dup2(heard.fileno(), descriptor)
        try:
            # A log handler made in the block may keep the stream: it stays open, on descriptor 2.
            with redirect_stdout(_stream(1)), redirect_stderr(_stream(2)):
                try:
                    yield
                finally:
                    _flush()
        finally:
            for descriptor, copy in kept:
                os.dup2(copy, descriptor)
                os.close(copy)
            heard.seek(0)
            text = heard.read().decode(errors="replace").strip()
            if text:
                _log.debug("%s: %s", tool, text)


def _stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, errors="replace", closefd=False)  # noqa: PTH123, SIM115


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
