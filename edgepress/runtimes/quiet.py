"""Quiet: what a third-party tool prints goes to the debug log, native code included."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

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
            yield
        finally:
            _flush()
            for descriptor, copy in kept:
                os.dup2(copy, descriptor)
                os.close(copy)
            heard.seek(0)
            text = heard.read().decode(errors="replace").strip()
            if text:
                _log.debug("%s: %s", tool, text)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
