"""Named: a file that a record names by its sha256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepress.errors import UserError
from edgepress.records.record import sha256_file
from edgepress.records.tensors import Arrays


@dataclass(frozen=True)
class Named:
    """A file beside the record that names it."""

    path: Path
    sha256: str
    record: str
    """File name of the record that names it."""
    again: str
    """What writes both anew, for people: `run quantize again`."""

    def checked(self) -> Path:
        """Return the path; a missing or changed file is a UserError."""
        if not self.path.is_file():
            raise UserError(f"{self.path}: file not found; {self.again}")
        if sha256_file(self.path) != self.sha256:
            raise UserError(f"{self.path}: is not the file {self.record} names; {self.again}")
        return self.path

    def arrays(self) -> Arrays:
        """Return the arrays of an .npz; a missing, changed or damaged file is a UserError."""
        path = self.checked()
        try:
            with np.load(path, allow_pickle=False) as opened:
                return {name: opened[name] for name in opened.files}
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path}: cannot be read ({error}); {self.again}") from None
