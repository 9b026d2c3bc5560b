"""Peaks in NumPy: from maps or rows of logits to places between their steps, and confidences.

A target is a Gaussian, so the logarithm of what was learnt is a parabola around the point, and its
summit is exact: DARK, Zhang et al. 2020, https://arxiv.org/abs/1910.06278, here axis by axis, over
as many steps as the target's standard deviation, so that the noise of INT8 does not tip it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_WITHIN = 3.0
"""Standard deviations around a peak whose share of a row's mass is its confidence."""


def of_maps(logits: npt.NDArray[Any], blur: float) -> tuple[Floats, Floats]:
    """Map logits [M, h, w] to places [M, 2], x before y in steps, and confidences [M].

    Steps count from the middle of the first place; a confidence is the peak's sigmoid.
    """
    count, height, width = logits.shape
    row, column = np.divmod(logits.reshape(count, -1).argmax(axis=1), width)
    every = np.arange(count)
    across = _logs(logits[every, row])
    down = _logs(logits[every, :, column])
    places = [summit(across, column, blur), summit(down, row, blur)]
    return np.stack(places, axis=1), np.exp(across[every, column])


def of_rows(x: npt.NDArray[Any], y: npt.NDArray[Any], blur: float) -> tuple[Floats, Floats]:
    """Map logits of bins, [M, w] and [M, h], to places [M, 2] in bins, and confidences [M].

    A confidence is the probability of the bins around the peak, of both coordinates together.
    """
    places, shares = [], []
    for row in (x, y):
        logs = row.astype(np.float64) - row.max(axis=1, keepdims=True)
        at = logs.argmax(axis=1)
        mass = np.exp(logs)
        near = np.abs(np.arange(logs.shape[1]) - at[:, None]) <= np.ceil(_WITHIN * blur)
        places.append(summit(logs, at, blur))
        shares.append((mass * near).sum(axis=1) / mass.sum(axis=1))
    return np.stack(places, axis=1), shares[0] * shares[1]


def summit(logs: Floats, at: npt.NDArray[np.int64], blur: float) -> Floats:
    """Return where the parabola through each row's highest value, at `at` [M], has its summit.

    At a border one side is missing; there the parabola's width is that of the target, `blur`.
    """
    last = logs.shape[1] - 1
    reach = np.minimum(max(1, round(blur)), np.minimum(at, last - at))
    side = np.where(at == 0, 1, -1)
    inner = reach > 0
    step = np.maximum(reach, 1)
    every = np.arange(len(logs))
    here = logs[every, at]
    before = logs[every, np.clip(at - step, 0, last)]
    after = logs[every, np.clip(at + step, 0, last)]
    bend = before + after - 2 * here
    fitted = np.where(bend < 0, (before - after) / np.where(bend < 0, bend, -1.0) * step / 2, 0.0)
    beside = np.where(side > 0, after, before)
    bordering = side * np.clip(0.5 + blur**2 * (beside - here), -1.0, 0.5)
    return np.asarray(at + np.where(inner, fitted, bordering), np.float64)


def _logs(logits: npt.NDArray[Any]) -> Floats:
    """Return the logarithm of the sigmoid of logits."""
    return -np.logaddexp(0.0, -logits.astype(np.float64))
