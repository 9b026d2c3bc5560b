"""Walk: the files below a folder, by the one rule that every reader of images goes by.

Names that start with a dot are passed over, files and folders alike. Links to files and folders are
followed; a folder that was entered already, by whatever way, is not entered again, so that a loop
of links ends. The order is that of the names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def walk(root: Path, left_out: Counter[str] | None = None) -> Iterator[Path]:
    """Yield every visible file below `root`; `left_out` counts what is passed over, by kind."""
    return _below(root, set(), Counter() if left_out is None else left_out)


def visible(path: Path) -> bool:
    """Tell a file or folder that the walk enters from a hidden one."""
    return not path.name.startswith(".")


def _below(folder: Path, entered: set[tuple[int, int]], left_out: Counter[str]) -> Iterator[Path]:
    status = folder.stat()
    place = (status.st_dev, status.st_ino)
    if place in entered:
        left_out["folder linked a second time"] += 1
        return
    entered.add(place)
    for path in sorted(folder.iterdir()):
        if not visible(path):
            left_out["hidden"] += 1
        elif path.is_dir():
            yield from _below(path, entered, left_out)
        elif path.is_file():
            yield path
        else:
            left_out["link that leads nowhere"] += 1
