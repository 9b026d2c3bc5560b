"""Settling: the listed rows copied into the manifest's table with their splits, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.data.drawing import Draw, Drawn
from edgepress.data.table import writing
from edgepress.records.manifest import SPLITS, Split

LISTED = ".listed.parquet"
"""The table before its splits are settled."""


class Tally:
    """Usable items per split and class, unusable ones per kind of reason, with an example."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        """Start with nothing."""
        self._classes = classes
        self.items: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        self.counts: dict[Split, dict[str, int]] = {s: dict.fromkeys(classes, 0) for s in SPLITS}
        self.reasons: Counter[str] = Counter()
        self.example = ""
        """An image that cannot be used, with the reason in full."""

    def add(self, name: str, split: Split, reason: str, classes: list[int]) -> None:
        """Count an image by its id; `reason` is empty where it can be used."""
        if reason:
            self.reasons[reason.split(":")[0]] += 1
            self.example = self.example or f"{name} ({reason})"
            return
        self.items[split] += 1
        for index in classes:
            self.counts[split][self._classes[index]] += 1


def settle(folder: Path, label: pa.DataType, draw: Draw, tally: Tally) -> Drawn:
    """Settle `draw` and turn the listed table of `folder` into the manifest's.

    `label` is the type of the labels. A row group is held at a time.
    """
    with pq.ParquetFile(folder / LISTED) as file, writing(folder, label) as table:
        drawn = draw.settle(lambda: _names(file))
        start = 0
        for number in range(file.num_row_groups):
            listed = file.read_row_group(number)
            rows = _settled(listed, start, drawn)
            start += len(listed)
            columns = (rows[name].to_pylist() for name in ("id", "split", "reason", "classes"))
            for row in zip(*columns, strict=True):
                tally.add(*row)
            table.add_table(rows)
    (folder / LISTED).unlink()
    return drawn


def _names(file: Any) -> Iterator[tuple[list[str], list[str | None]]]:
    for number in range(file.num_row_groups):
        rows = file.read_row_group(number, columns=["id", "group"])
        yield rows["id"].to_pylist(), rows["group"].to_pylist()


def _settled(rows: Any, start: int, drawn: Drawn) -> Any:
    """Return the rows from `start` on with what was settled, without those over the limit."""
    places = range(start, start + len(rows))
    groups, reasons = rows["group"].to_pylist(), rows["reason"].to_pylist()
    reasons = [drawn.leak(row) or reason for row, reason in zip(places, reasons, strict=True)]
    new = {
        "group": [drawn.group(row) or name for name, row in zip(groups, places, strict=True)],
        "split": [SPLITS[number] for number in drawn.splits[start : start + len(rows)].tolist()],
        "status": ["quarantined" if reason else "ok" for reason in reasons],
        "reason": reasons,
    }
    for name, values in new.items():
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), pa.array(values, pa.string()))
    kept = drawn.kept[start : start + len(places)]
    return rows if kept.all() else rows.filter(pa.array(kept))
