"""Concept complexity: dense, isolated concepts give up most, spread-out ones little; hardest kept.

https://arxiv.org/abs/2401.04578
"""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgepress.curation._concepts.clusters import Concepts
from edgepress.curation._concepts.complexity import separation, shares
from edgepress.curation._select.budget import Pruned
from edgepress.curation._select.curate_job import CurateJob
from edgepress.curation._select.decision import Decision, Numbers
from edgepress.curation._select.shareout import share_out

_log = logging.getLogger(__name__)


class Params(Pruned):
    """Parameters of concept complexity."""

    method: Literal["concept_complexity"]
    neighbours: int = Field(ge=1)
    """Nearest centroids whose mean distance is d_inter."""
    temperature: float = Field(gt=0)
    """Of the softmax over complexities: low gives nearly all to the most complex concepts."""


def select(job: CurateJob, *, params: Params) -> Decision:
    """Share the budget out by softmax(d_intra * d_inter / temperature), exactly."""
    found = Concepts(job, params)
    d_inter = separation(found.centroids, found.sizes, params.neighbours)
    complexity = found.d_intra * d_inter
    probability = shares(complexity, found.sizes, params.temperature)
    _warn_if_flat(complexity[found.sizes > 0], params.temperature)
    quotas, reason = share_out(job, found, probability, params)
    numbers = Numbers(found.sizes, quotas, found.d_intra, d_inter, probability)
    return Decision(job, reason, found.assigned, numbers)


def _warn_if_flat(complexity: npt.NDArray[np.float64], temperature: float) -> None:
    """Say when the temperature drowns the complexities, as with features that were not centred."""
    span = float(np.ptp(complexity))
    if 0.0 < span < 0.01 * temperature:
        _log.warning(
            "temperature: complexities differ by %.1e only, so at %g every concept gets the same "
            "share; centre the embeddings, or try a temperature near %.1e",
            span, temperature, float(complexity.std()),
        )  # fmt: skip
