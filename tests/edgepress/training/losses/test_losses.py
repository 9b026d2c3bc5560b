"""Every loss against its formula, written out number by number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from edgepress.methods import resolve
from edgepress.training.losses.wanted import Wanted

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-0.3, 0.2, -4.0], [0.0, 9.0, -9.0]])
SETS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.3, 1.0, 0.0]])
ONE = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.7, 0.3], [0.0, 1.0, 0.0]])

ENTRIES: dict[str, dict[str, Any]] = {
    "cross_entropy": {},
    "binary_cross_entropy": {},
    "focal": {"focus": 2.0},
    "asymmetric": {"focus_positive": 1.0, "focus_negative": 4.0, "margin": 0.05},
}


def found(name: str, wanted: Wanted, logits: Tensor = LOGITS, **changes: Any) -> Tensor:
    entry = {"method": name, **ENTRIES[name], **changes}
    terms: Tensor = resolve("training.losses", entry, "test", "loss")(logits, wanted)
    return terms


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(x) for x in row]
    return [power / sum(powers) for power in powers]


def binary(y: float, x: float) -> float:
    return -y * math.log(sigmoid(x)) - (1 - y) * math.log(1 - sigmoid(x))


def focal(y: float, x: float) -> float:
    p = sigmoid(x)
    return -y * (1 - p) ** 2 * math.log(p) - (1 - y) * p**2 * math.log(1 - p)


def asymmetric(y: float, x: float) -> float:
    p, left = sigmoid(x), max(sigmoid(x) - 0.05, 0.0)
    return -y * (1 - p) * math.log(p) - (1 - y) * left**4 * math.log(1 - left)


@pytest.mark.parametrize(
    ("name", "formula"),
    [("binary_cross_entropy", binary), ("focal", focal), ("asymmetric", asymmetric)],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_of_sets_is_its_formula(
    name: str, formula: Callable[[float, float], float], smoothing: float
) -> None:
    smooth = SETS * (1 - smoothing) + smoothing / 2
    expected = [
        [formula(y, x) for y, x in zip(*rows, strict=True)]
        for rows in zip(smooth.tolist(), LOGITS.tolist(), strict=True)
    ]
    terms = found(name, Wanted(SETS, exclusive=False, smoothing=smoothing))
    torch.testing.assert_close(terms, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("focus", [0.0, 0.5, 2.0])
def test_focal_loss_of_one_class_is_its_formula(focus: float) -> None:
    expected = [
        [-y * (1 - p) ** focus * math.log(p) for y, p in zip(wanted, softmax(row), strict=True)]
        for wanted, row in zip(ONE.tolist(), LOGITS.tolist(), strict=True)
    ]
    terms = found("focal", Wanted(ONE, exclusive=True), focus=focus)
    torch.testing.assert_close(terms, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_and_focal_without_focus_are_torchs(smoothing: float) -> None:
    expected = cross_entropy(LOGITS, ONE, label_smoothing=smoothing, reduction="none")
    for name, changes in (("cross_entropy", {}), ("focal", {"focus": 0.0})):
        terms = found(name, Wanted(ONE, exclusive=True, smoothing=smoothing), **changes)
        torch.testing.assert_close(terms.sum(1), expected)


@pytest.mark.parametrize(("threshold", "there"), [(0.0, [1, 1]), (0.3, [1, 0]), (0.8, [0, 0])])
def test_mixed_classes_are_wholly_there_above_the_threshold(
    threshold: float, there: list[int]
) -> None:
    mixed = torch.tensor([[0.7, 0.3, 0.0]])
    whole = Wanted(torch.tensor([[*map(float, there), 0.0]]), exclusive=True, smoothing=0.1)
    terms = found(
        "binary_cross_entropy",
        Wanted(mixed, exclusive=True, smoothing=0.1),
        LOGITS[:1],
        threshold=threshold,
    )
    assert torch.equal(terms, found("binary_cross_entropy", whole, LOGITS[:1]))


@pytest.mark.parametrize("name", list(ENTRIES))
@pytest.mark.parametrize("exclusive", [True, False])
def test_slopes_are_finite_when_logits_are_far_out(name: str, exclusive: bool) -> None:
    if name == "cross_entropy" and not exclusive:
        pytest.skip("refused before")
    logits = torch.tensor([[90.0, -90.0, 0.0], [-90.0, 90.0, 90.0]], requires_grad=True)
    wanted = Wanted(torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), exclusive)
    found(name, wanted, logits).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"method": "focall", "focus": 2.0}, "'focall' is not one of .*did you mean focal"),
        ({"method": "focal"}, "loss.focus: missing"),
        ({"method": "focal", "focus": -1.0}, "loss.focus: .*greater than or equal to 0"),
        ({"method": "binary_cross_entropy", "threshold": 1.0}, "loss.threshold: .*less than 1"),
    ],
)
def test_loss_is_refused_when_a_value_is_out_of_range(entry: dict[str, Any], words: str) -> None:
    from edgepress.errors import UserError

    with pytest.raises(UserError, match=words):
        resolve("training.losses", entry, "test", "loss")
