"""Repeat factor: images of rare classes come again, all others keep their share.

Paper: Gupta et al. 2019, "LVIS", https://arxiv.org/abs/1908.03195, section 4.2: an image is
repeated max(1, sqrt(threshold / share)) times, by its rarest class. An epoch stays as long as there
are images, where the paper's grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import Field

from edgepress.params import Config
from edgepress.tasks.balance import Shown
from edgepress.training.sampling import Floats, by_rarest, shares


class Params(Config):
    """Which classes are rare."""

    method: Literal["repeat_factor"]
    threshold: float = Field(gt=0, le=1)
    """Share of the images below which a class is rare; 0.001 is the paper's for 1,203 classes."""


def weigh(shown: Callable[[], Shown], *, params: Params) -> Floats:
    """Return how often each image is to be taken, [items]."""
    found = shown()
    return by_rarest(np.sqrt(params.threshold / shares(found)).clip(min=1.0), found)
