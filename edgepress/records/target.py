"""Target: where a model runs, on what, and how precisely; its string is its key everywhere."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict

from edgepress.errors import UserError

_WORD = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


class Target(BaseModel):
    """A (device, runtime, precision) triple, for example x86_64-onnxruntime-int8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    runtime: str
    precision: str

    def __str__(self) -> str:
        """Return the key: the three words joined by hyphens."""
        return f"{self.device}-{self.runtime}-{self.precision}"

    @classmethod
    def parse(cls, key: str) -> Self:
        """Read a key back; anything but three lower-case words joined by hyphens is a UserError."""
        words = key.split("-")
        if len(words) != 3 or not all(_WORD.fullmatch(word) for word in words):
            raise UserError(
                f"target {key!r}: expected device-runtime-precision in lower case, "
                "for example x86_64-onnxruntime-int8"
            )
        return cls(device=words[0], runtime=words[1], precision=words[2])
