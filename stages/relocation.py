"""Relocation: an embedded store that was copied or moved with its project finds its files there.

MLflow keeps the absolute address of every file's folder, so that a copied project would go on
writing into the one it was copied from.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from stages.outages import unopened

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Where MLflow's tables hold the address of files."""


def relocate(uri: str, experiment: str, files: Path) -> str | None:
    """Let a project's own store name `files` as its folder; return where they were, None if there.

    A store outside the working directory is another's too and stays as it is.
    """
    if not uri.startswith("sqlite:///"):
        return None
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if not path.resolve().is_relative_to(Path.cwd().resolve()) or not path.exists():
        return None
    ours = files.absolute().as_uri()
    try:
        with closing(sqlite3.connect(path)) as database, database:
            theirs = _location(database, experiment)
            if theirs is None or theirs == ours or not theirs.endswith(f"/{files.name}"):
                return None
            for table, column in _COLUMNS:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE {column} = ? OR {column} LIKE ? ESCAPE '\\'",
                    (ours, len(theirs) + 1, theirs, f"{_escaped(theirs)}/%"),
                )
            return theirs
    except sqlite3.Error as error:
        raise unopened(error, uri) from None


def _location(database: sqlite3.Connection, experiment: str) -> str | None:
    named = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'experiments'"
    if database.execute(named).fetchone() is None:
        return None
    query = "SELECT artifact_location FROM experiments WHERE name = ?"
    found = database.execute(query, (experiment,)).fetchone()
    return None if found is None else str(found[0])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
