"""NotExported: why a target's toolchain could not write a network; stands in its place."""

from __future__ import annotations

from typing import ClassVar

from edgepress.records.record import Record
from edgepress.records.target import Target


class NotExported(Record):
    """One line for people; the other targets go on."""

    file_name: ClassVar[str] = "not_exported.json"

    target: Target
    reason: str
    bundle_sha256: str
