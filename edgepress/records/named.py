"""Named: a file of arrays that a record names by its sha256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.errors import UserError
from edgepress.records.record import sha256_file
from edgepress.records.tensors import Arrays


@dataclass(frozen=True)
class Named:
    """An .npz file."""

    path: Path
    sha256: str
    record: str
    """File name of the record that names it."""
    stage: str
    """The stage that writes both."""

    def arrays(self) -> Arrays:
        """Return the file's arrays; a missing, changed or damaged file is a UserError."""
        if not self.path.is_file() or sha256_file(self.path) != self.sha256:
            raise UserError(
                f"{self.path}: is not the file {self.record} names; run {self.stage} again"
            )
        try:
            with np.load(self.path, allow_pickle=False) as opened:
                return {name: opened[name] for name in opened.files}
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{self.path}: cannot be read ({error}); run {self.stage} again"
            ) from None
