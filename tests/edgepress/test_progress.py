from __future__ import annotations

from edgepress.progress import counted


def test_counted_tells_items_and_changes_nothing_when_batches_pass() -> None:
    told: list[tuple[str, int, int]] = []
    batches = [[1, 2, 3], [4]]
    assert list(counted(batches, "reading", 4, lambda *said: told.append(said))) == batches
    assert told == [("reading", 0, 4), ("reading", 3, 4), ("reading", 4, 4)]
