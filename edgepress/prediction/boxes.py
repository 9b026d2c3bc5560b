"""Boxes: the objects a detector found on pictures, read for a network that looks inside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError

_WRITE = "give what --json of a detector's `edgepress predict` wrote"


@dataclass(frozen=True)
class Boxes:
    """The sure boxes of each picture, by its path as it was given."""

    path: Path
    held: Mapping[str, npt.NDArray[np.float64]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; one that holds no boxes is a UserError."""
        try:
            answers = json.loads(path.read_text(encoding="utf-8"))["answers"]
            held = {each["image"]: _sure(each) for each in answers if "error" not in each}
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError) as error:
            said = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}: holds no boxes ({said}); {_WRITE}") from None
        return cls(path, held)

    def of(self, picture: Path) -> npt.NDArray[np.float64]:
        """Return the boxes [n, 4] of one picture; one that is not in the file is a UserError."""
        if str(picture) not in self.held:
            raise UserError(f"{self.path} has no boxes of it; predict them first")
        return self.held[str(picture)]


def _sure(answer: dict[str, Any]) -> npt.NDArray[np.float64]:
    boxes = [each["box"] for each in answer["objects"] if each["sure"]]
    return np.array(boxes, np.float64).reshape(-1, 4)
