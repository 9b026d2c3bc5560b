from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from edgepress.training import pace
from edgepress.training.examples import Batch
from edgepress.training.pace import Pace

LINE = {"epoch": 1, "loss": 0.5, "val_accuracy": 0.75, "learning_rate": 0.1}


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pace, "time", made)
    return made


def slow(clock: Clock, count: int) -> Iterator[Batch]:
    for _ in range(count):
        clock.now += 1.0
        yield torch.zeros(50, 1, 2, 2), {}


def test_epoch_says_rate_shares_and_time_left_when_it_ends(clock: Clock) -> None:
    paced = Pace(5)
    for _ in paced.loaded(slow(clock, 2), 50):
        clock.now += 3.0
    with paced.judging():
        clock.now += 2.0
    said = paced.epoch(LINE)
    assert said.startswith("epoch 1 of 5: loss 0.5, val accuracy 0.75, learning rate 0.1, ")
    # 100 images in 8 s of training; of 10 s in all 2 were waited for images and 2 judged.
    assert "12 images/s, load 20% compute 60% judge 20%, memory " in said
    assert said.endswith(" MB, about 40 s left")


def test_epoch_counts_only_its_own_images_when_it_is_not_the_first(clock: Clock) -> None:
    paced = Pace(2)
    list(paced.loaded(slow(clock, 4), 50))
    paced.epoch(LINE)
    list(paced.loaded(slow(clock, 1), 50))
    said = paced.epoch({**LINE, "epoch": 2})
    assert "50 images/s, load 100% compute 0% judge 0%" in said
    assert "left" not in said
