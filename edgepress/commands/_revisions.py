"""Runs of other git revisions: their outputs, brought out of DVC's cache without touching the tree.

`dvc.lock` of the revision names every output by its md5, and DVC keeps a file under that name; a
folder is a list of such files. They are linked, not copied.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from edgepress.errors import UserError

_WANTED = ("models/", "targets/measured/")


@contextmanager
def restored(revision: str) -> Iterator[Path]:
    """Yield a folder with a revision's params.yaml, models and measurements."""
    commit = _commit(revision)
    lock = yaml.safe_load(_shown(commit, "dvc.lock", revision))
    cache = Path(_dvc("cache", "dir")) / "files" / "md5"
    with tempfile.TemporaryDirectory(prefix="edgepress-compare-") as place:
        folder = Path(place)
        (folder / "params.yaml").write_text(_shown(commit, "params.yaml", revision))
        for out in _outputs(lock):
            if str(out["path"]).startswith(_WANTED):
                _link(folder / out["path"], str(out["md5"]), cache, revision)
        yield folder


def _outputs(lock: Any) -> Iterator[Any]:
    for stage in (lock or {}).get("stages", {}).values():
        yield from (out for out in stage.get("outs", []) if "md5" in out)


def _link(path: Path, md5: str, cache: Path, revision: str) -> None:
    source = cache / md5[:2] / md5[2:]
    if not source.exists():
        raise UserError(
            f"{revision}: an output of it is not in DVC's cache ({source}); dvc fetch "
            "--all-commits, or check it out and run it"
        )
    if md5.endswith(".dir"):
        for entry in json.loads(source.read_text(encoding="utf-8")):
            _link(path / entry["relpath"], entry["md5"], cache, revision)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(source.resolve())


def _commit(revision: str) -> str:
    """Return the commit of a revision, or of an experiment of DVC by its name."""
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found is None:
        listed = _git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{revision}") or ""
        found = next(iter(listed.split()), None)
    if found is None:
        raise UserError(f"{revision}: neither a folder, a git revision nor an experiment of DVC")
    return found.strip()


def _shown(commit: str, name: str, revision: str) -> str:
    text = _git("show", f"{commit}:./{name}")
    if text is None:
        raise UserError(
            f"{revision}: has no {name}; commit it after a run to compare with it later"
        )
    return text


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("git: not found; compare two folders instead, or install it") from None
    return done.stdout if done.returncode == 0 else None


def _dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dvc {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()
