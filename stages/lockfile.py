"""See that DVC can read dvc.lock before it is asked to: `python -m stages.lockfile`.

DVC does not write its lock file in one step, and says only that it is broken when a run was killed
in that moment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils import strictyaml

LOCK = Path("dvc.lock")


def main() -> int:
    """Set a lock file aside that was cut off, and say so; nothing done is lost by it."""
    if LOCK.exists() and not whole(LOCK):
        aside = LOCK.with_name(f"{LOCK.name}.cut-off")
        LOCK.replace(aside)
        sys.stderr.write(
            f"{LOCK}: a run was stopped while DVC wrote it; set aside as {aside}. "
            "What is done comes back from DVC's cache\n"
        )
    return 0


def whole(lock: Path) -> bool:
    """Tell whether DVC will read a lock file."""
    try:
        strictyaml.load(str(lock), COMPILED_LOCKFILE_SCHEMA)
    except DvcException:
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
