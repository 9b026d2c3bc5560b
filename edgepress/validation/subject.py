"""Subject: an export on disk, checked to be whole, and opened in the runtime its target names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

from edgepress import methods
from edgepress.params import validate
from edgepress.records.exported import Exported
from edgepress.records.record import sha256_file
from edgepress.runtimes.session import Session


@dataclass(frozen=True)
class Subject:
    """A folder with exported.json and the files it names."""

    folder: Path
    exported: Exported

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record of an export's folder; a missing or damaged record is a UserError."""
        return cls(folder, Exported.read(folder))

    def damage(self, bundle_sha256: str) -> str | None:
        """Say what is wrong with the files or their origin; None where they are what they claim."""
        if self.exported.bundle_sha256 != bundle_sha256:
            return (
                f"{self.folder} was exported from Bundle {self.exported.bundle_sha256[:12]}, the "
                f"reference answers are of {bundle_sha256[:12]}; export it anew"
            )
        for file in self.exported.files:
            path = self.folder / file.path
            if not path.is_file():
                return f"{path} is missing; export it anew"
            size = path.stat().st_size
            if size != file.bytes:
                return f"{path} has {size} bytes instead of {file.bytes}; export it anew"
            if sha256_file(path) != file.sha256:
                return f"{path} is not the file that was exported (sha256 differs); export it anew"
        return None

    def load(self, threads: int) -> Session:
        """Open the export in its own runtime; NotHere where this host cannot run it."""
        return self._open("load", threads)

    def stand_in(self, threads: int) -> Session | None:
        """Open the export's graph elsewhere, None where the runtime knows no such place."""
        module = methods.module("runtimes", self.exported.target.runtime)
        return self._open("stand_in", threads) if hasattr(module, "stand_in") else None

    def _open(self, function: str, threads: int) -> Session:
        word = self.exported.target.runtime
        module = methods.module("runtimes", word, f"target {self.exported.target}")
        raw = {"method": word, "threads": threads}
        params = validate(module.Params, raw, str(self.exported.target), "runtime")
        return cast(Session, getattr(module, function)(self.folder, self.exported, params=params))
