"""Findings: what the checks of a manifest said, rule by rule."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from edgepress.records.record import Record

Severity = Literal["critical", "warning"]

OFFENDING = "offending.csv"
DOCS = "docs"
PASSED = "passed"


class Finding(BaseModel):
    """One rule's answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rule: str
    """Short name, for example same_file_in_two_splits."""
    says: str
    """What the rule demands, in one sentence."""
    severity: Severity
    passed: bool
    offending: int
    """Rows that break it; a rule with a tolerance may pass with some."""
    examples: tuple[str, ...]
    """`id (value)` of the first few of them."""


class Findings(Record):
    """A folder: check.json (this record), offending.csv (all offending rows), docs/ (Data Docs)."""

    file_name: ClassVar[str] = "check.json"

    manifest_sha256: str
    """sha256 of the table that was checked."""
    images: int
    """Usable images that were checked."""
    findings: tuple[Finding, ...]

    def failed(self, severity: Severity) -> list[Finding]:
        """Return the rules of a severity that did not pass."""
        return [f for f in self.findings if f.severity == severity and not f.passed]
