"""Picture files of a set that is written: links to the user's own, or copies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgepress.data.writers.drawn import Drawn

How = Literal["link", "copy"]


def place(drawn: Drawn, folder: Path, how: How) -> None:
    """Put a picture into `folder` under its name; one out of a container can only be copied."""
    folder.mkdir(parents=True, exist_ok=True)
    if how == "link" and drawn.file is not None:
        (folder / drawn.name).symlink_to(drawn.file.resolve())
    else:
        (folder / drawn.name).write_bytes(drawn.data)
