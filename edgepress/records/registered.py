"""Registered: what the registry holds of every target after a registration."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from edgepress.records.record import Record
from edgepress.records.verdict import Outcome


class Registration(BaseModel):
    """One target's model in the registry."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    version: str
    model_id: str
    outcome: Outcome
    held_back: str
    """Why a version that passed its gates is no champion; empty where it is, or did not pass."""
    aliases: dict[str, str]
    """Alias -> version."""
    audit: tuple[dict[str, str], ...]
    """Every move of an alias, oldest first."""


class Registered(Record):
    """A folder: registered.json."""

    file_name: ClassVar[str] = "registered.json"

    targets: dict[str, Registration]
