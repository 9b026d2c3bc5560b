"""History: the learning curve of one model."""

from __future__ import annotations

from typing import ClassVar

from edgepress.records.record import Record


class History(Record):
    """One line per epoch: `epoch`, `loss`, `learning_rate`, `train_<name>` and `val_<score>`.

    The epoch whose weights `keep: best` chose also has `kept`, 1.
    """

    file_name: ClassVar[str] = "history.json"

    epochs: tuple[dict[str, float], ...] = ()
