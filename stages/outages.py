"""Outages: which failures of a registry are its store's own, and which of those may pass."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

from edgepress.errors import PassingError, UserError

_LASTING = re.compile(
    r"read-?only (database|file system)|unable to open database file|not a database|malformed|"
    r"disk is full|no space left|invalid url",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"failed with (timeout )?exception|database is locked|max retries exceeded|timed out|"
    r"connection (refused|reset|aborted|error)|remotedisconnected|name resolution|"
    r"network is unreachable|error code 5\d\d|50[0234] server error|too many 5\d\d",
    re.IGNORECASE,
)
_UNAVAILABLE = {
    "TEMPORARILY_UNAVAILABLE",
    "SERVICE_UNDER_MAINTENANCE",
    "REQUEST_LIMIT_EXCEEDED",
    "DEADLINE_EXCEEDED",
}
_FORBIDDEN = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}
_NOISE = re.compile(r"\n| \(Caused by| \[SQL:")
_WAIT_S = 5.0


def explained(error: Exception, uri: str) -> UserError | None:
    """Return the line for a failure of the store at `uri`; None where the fault is not the store's.

    A PassingError is what may go away by itself: a server that restarts, a lock, a network.
    """
    text, code = str(error).strip(), getattr(error, "error_code", None)
    if _LASTING.search(text) or code in _FORBIDDEN:
        return UserError(_line(text, uri))
    # MLflow gives INTERNAL_ERROR to what has no code too; only as an answer is it the server's.
    answered = type(error).__name__ == "RestException" and code == "INTERNAL_ERROR"
    lost = isinstance(error, ConnectionError | TimeoutError)
    if lost or answered or code in _UNAVAILABLE or _PASSING.search(text):
        return PassingError(_line(text, uri))
    return None


def unopened(error: Exception, uri: str) -> UserError:
    """Return the line for a store that could not be opened, whatever the reason."""
    return explained(error, uri) or UserError(_line(str(error).strip(), uri))


def probe(uri: str) -> None:
    """Refuse an embedded store that cannot be written, in seconds: MLflow would try for minutes."""
    if not uri.startswith("sqlite:///"):
        return
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            # The lock alone is granted on a file that cannot be written.
            database.execute("CREATE TABLE edgepress_probe (x)")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise unopened(error, uri) from None


def is_absent(error: Any) -> bool:
    """Tell whether an error says that what was asked for is not there, and nothing else."""
    return getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST"


def _line(text: str, uri: str) -> str:
    place = re.sub(r"//[^/@]*@", "//", uri)  # an address may hold a password
    said = _NOISE.split(text, maxsplit=1)[0] or "no answer"
    return (
        f"MLflow at {place}: {said}; start or mend it and register again, or name another store "
        "in params.yaml (register.tracking_uri) or in MLFLOW_TRACKING_URI"
    )
