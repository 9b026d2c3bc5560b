"""Parity: how far an export's logits are from the Bundle's on the same images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgepress.records.measurement import Parity

INFINITE = float(np.finfo(np.float32).max)
"""Stands for a difference that has no number, since JSON has no infinity."""


def parity(logits: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> Parity:
    """Compare logits [N, classes] with the reference's; one NaN or infinity fails the whole."""
    if logits.shape != reference.shape:
        raise ValueError(f"logits are {logits.shape}, the reference is {reference.shape}")
    if not (np.isfinite(logits).all() and np.isfinite(reference).all()):
        return Parity(cosine=0.0, max_abs=INFINITE, top1_agreement=0.0, images=len(logits))
    ours, theirs = logits.astype(np.float64), reference.astype(np.float64)
    return Parity(
        cosine=float(_cosines(ours, theirs).mean()),
        max_abs=float(np.abs(ours - theirs).max()),
        top1_agreement=float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
        images=len(logits),
    )


def _cosines(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return each image's cosine; two zero vectors agree (1), one alone does not (0)."""
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    dots = (ours * theirs).sum(axis=1)
    same = (ours == theirs).all(axis=1)
    safe = np.where(norms > 0, norms, 1.0)
    return np.clip(np.where(same, 1.0, np.where(norms > 0, dots / safe, 0.0)), -1.0, 1.0)
