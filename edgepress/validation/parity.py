"""Parity: how far an export's raw outputs and decoded answers are from the Bundle's."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import numpy.typing as npt

from edgepress.records.measurement import OutputParity, Parity
from edgepress.records.tensors import Array, Arrays
from edgepress.validation.one_scale import sharing

INFINITE = float(np.finfo(np.float32).max)
"""Stands for a difference that has no number, since JSON has no infinity."""

Doubles = npt.NDArray[np.float64]


def parity(
    ours: Arrays, floats: Arrays, agreement: Doubles, spoilt: Set[str] = frozenset()
) -> Parity:
    """Compare raw outputs [n, ...] by name; `agreement` is of the N decoded answers, 0 to 1.

    `spoilt` are the outputs that were not finite for an item outside of the sample: they fail.
    """
    names = list(floats)
    if list(ours) != names:
        raise ValueError(f"outputs are {list(ours)}, the reference has {names}")
    return Parity(
        outputs=tuple(
            _failed(name) if name in spoilt else compare(name, ours[name], floats[name])
            for name in names
        ),
        sample=len(floats[names[0]]),
        agreement=float(agreement.mean()),
        changed=int((agreement < 1).sum()),
        items=len(agreement),
        one_scale=sharing(ours),
    )


def compare(name: str, ours: Array, floats: Array) -> OutputParity:
    """Compare one output [n, ...] with the reference's; one NaN or infinity fails the whole."""
    if ours.shape != floats.shape:
        raise ValueError(f"{name}: outputs are {ours.shape}, the reference is {floats.shape}")
    if not (np.isfinite(ours).all() and np.isfinite(floats).all()):
        return _failed(name)
    mine, theirs = ours.astype(np.float64), floats.astype(np.float64)
    whole = not np.issubdtype(floats.dtype, np.floating)
    error = float((mine != theirs).mean()) if whole else _centred(mine, theirs)
    return OutputParity(
        name=name,
        error=error,
        cosine=float(_cosines(mine, theirs).mean()),
        max_abs=float(np.abs(mine - theirs).max()),
    )


def _failed(name: str) -> OutputParity:
    return OutputParity(name=name, error=INFINITE, cosine=0.0, max_abs=INFINITE)


def _centred(ours: Doubles, floats: Doubles) -> float:
    """Return the norm of the difference over that of the reference less its mean over items."""
    off = float(np.linalg.norm(ours - floats))
    spread = float(np.linalg.norm(floats - floats.mean(axis=0)))
    if off == 0.0:
        return 0.0
    return min(off / spread, INFINITE) if spread > 0.0 else INFINITE


def _cosines(ours: Doubles, theirs: Doubles) -> Doubles:
    """Return each item's cosine; two zero vectors agree (1), one alone does not (0)."""
    ours, theirs = ours.reshape(len(ours), -1), theirs.reshape(len(theirs), -1)
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    dots = (ours * theirs).sum(axis=1)
    same = (ours == theirs).all(axis=1)
    safe = np.where(norms > 0, norms, 1.0)
    return np.clip(np.where(same, 1.0, np.where(norms > 0, dots / safe, 0.0)), -1.0, 1.0)
