"""Heard: a progress that keeps everything it is told."""

from __future__ import annotations


class Heard:
    """What was told of where the work is, and the lines that stay."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int, str]] = []
        self.said: list[str] = []

    def tell(self, what: str, done: int, total: int, note: str = "", /) -> None:
        self.told.append((what, done, total, note))
