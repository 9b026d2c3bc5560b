"""Answering item by item: whole ones, and those whose parts' answers are merged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgepress.devices import host
from edgepress.records.tensors import Arrays
from edgepress.runtimes.onnx_session import OnnxSession
from edgepress.tasks.parts import Parted
from edgepress.validation import latency, measure
from edgepress.validation.alone import DisturbedError
from edgepress.validation.latency import Plan
from edgepress.validation.parity import INFINITE
from edgepress.validation.subject import Subject
from edgepress.validation.timing import Timing

PLAN = Plan(Timing(warmup=5, runs=100, threads=1, confidence=0.95), seed=0)
KEY = f"{sorted(host.here().devices)[0]}-onnxruntime-fp32"

pytestmark = pytest.mark.usefixtures("untimed")


def second(found: Arrays) -> Arrays:
    """Answer as the second part does."""
    return {name: values[1:2] for name, values in found.items()}


@pytest.fixture
def parted(digits: Any, truth: Any) -> Callable[..., measure.Truth]:
    """Return the truth of which each item is a dark picture, the digit, and a dark one."""

    def made(subject: Subject, last: float = 0.0) -> measure.Truth:
        images = digits[1].inputs(subject.exported.input)
        dark = np.zeros_like(images[:1])
        parts = [
            ({"image": np.concatenate([dark, each[None]])}, {"image": dark + last})
            for each in images
        ]
        batches = [Parted(each, second, kept=1) for each in parts]
        return dataclasses.replace(truth(subject), batches=batches)

    return made


def test_item_in_parts_is_measured_as_the_item_when_its_answer_is_that_of_the_item(
    write: Any, model: Any, truth: Any, parted: Any
) -> None:
    subject = write(model, KEY)
    whole, found = (measure.measure(subject, None, t(subject), PLAN) for t in (truth, parted))
    assert (found.parity, found.scores) == (whole.parity, whole.scores)


def test_latency_is_of_all_runs_when_items_have_parts(
    write: Any, model: Any, truth: Any, parted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    monkeypatch.setattr(OnnxSession, "run", _counting(OnnxSession.run, runs))
    timed: list[int] = []

    def measured(opener: Any, rival: Any, plan: Plan) -> Any:
        with opener() as call:
            runs.clear()
            call()
            timed.append(len(runs))
        raise DisturbedError("timed elsewhere")

    monkeypatch.setattr(latency, "measure", measured)
    subject = write(model, KEY)
    for held in (truth, parted):
        measure.measure(subject, None, held(subject), PLAN)
    assert timed == [1, 3]


def _counting(run: Any, runs: list[int]) -> Any:
    def counted(self: OnnxSession, inputs: Any) -> Any:
        runs.append(1)
        return run(self, inputs)

    return counted


def test_nan_in_any_part_is_seen_when_no_answer_comes_of_it(
    write: Any, model: Any, parted: Any
) -> None:
    subject = write(model, KEY)
    found = measure.measure(subject, None, parted(subject, last=np.nan), PLAN)
    assert found.parity is not None
    assert found.parity.error == INFINITE
    assert found.parity.agreement == 1.0
