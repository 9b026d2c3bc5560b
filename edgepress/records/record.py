"""What all records share: a schema version, atomic JSON, hashes of what they point to."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from edgepress.errors import UserError


class Record(BaseModel):
    """A frozen, versioned value that crosses a stage border as one JSON file in a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    file_name: ClassVar[str]
    """Name of the JSON file inside the record's folder."""

    schema_version: int = 1
    """Version of the record's layout; an unknown one is an error."""

    def write(self, folder: Path) -> Path:
        """Write the record into `folder` atomically and return the file's path."""
        path = folder / self.file_name
        write_atomically(path, self.model_dump_json(indent=2) + "\n")
        return path

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record from `folder`; missing, damaged or foreign versions are UserErrors."""
        path = folder / cls.file_name
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"{path}: file not found; run the stage that writes it") from None
        cls._refuse_version(path, text)
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
            said = f"{path}: {place}{first['msg']}; run the stage that writes it again"
            raise UserError(said) from None

    @classmethod
    def _refuse_version(cls, path: Path, text: str) -> None:
        """Refuse another layout by its number, before its fields are found wanting."""
        known: Any = cls.model_fields["schema_version"].default
        try:
            found = json.loads(text).get("schema_version", known)
        except (ValueError, AttributeError):
            return  # What is no JSON mapping is refused in the model's own words.
        if found != known:
            raise UserError(
                f"{path}: schema_version {found} is unknown; this version reads {known}: "
                "run the stage that writes it"
            )


def write_atomically(path: Path, text: str) -> None:
    """Write text under a temporary name in the same folder, then rename over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in blocks of 1 MiB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path) -> str:
    """Return one hex SHA-256 over the relative names and contents of all files below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()
