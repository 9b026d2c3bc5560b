"""Cost: about how long each stage will take here, and where that number comes from.

What ran here before took its time, which is scaled where it now has more to do. What trains and
has never run is counted and timed (work.py). All else has a typical time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgepress.planning import work
from edgepress.planning.images import training_images

TRAINING = ("embed", "train", "distill", "slim")
_TYPICAL = {
    "ingest": 3.0,
    "check": 5.0,
    "embed": 5.0,
    "curate": 3.0,
    "train": 8.0,
    "distill": 8.0,
    "slim": 8.0,
    "quantize": 5.0,
    "export": 7.0,
    "validate": 8.0,
    "judge": 2.0,
    "report": 4.0,
    "register": 7.0,
}
"""Seconds on two cores, imports among them, for small networks; of training all but its steps."""
_PER_IMAGE = {"ingest": 0.004, "train": 0.006}
"""Seconds for each training image beside that: looked at once, decoded once for all stages."""

_FREE = ("epochs", "learning_rate", "weight_decay", "schedule", "weights", "label_smoothing")
"""Keys of a stage's entry that change no image's cost."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one execution, and what they rest on; None cannot be known yet."""

    seconds: float | None
    basis: str


@dataclass(frozen=True)
class Past:
    """What is known of runs in this folder."""

    metrics: Path
    """Folder of the stages' numbers, which hold what each took."""
    lock: Mapping[str, Any]
    """dvc.lock, which holds the parameters that each ran with."""

    def numbers(self, title: str) -> Mapping[str, Any]:
        """Return an execution's numbers; none where it has not run."""
        path = self.metrics / f"{title.replace('@', '-')}.json"
        try:
            loaded = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def params(self, title: str) -> Mapping[str, Any]:
        """Return the parameters an execution ran with, by the keys that dvc.yaml lists."""
        entry = (self.lock.get("stages") or {}).get(title) or {}
        return (entry.get("params") or {}).get("params.yaml") or {}


@dataclass
class Costs:
    """Estimates for one params.yaml."""

    params: dict[str, Any]
    past: Past
    where: str = "params.yaml"
    _images: int | None = field(init=False)
    _counted: dict[str, work.Work] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Count the images."""
        self._images = training_images(self.params, self.past.numbers("ingest"))

    def count(self) -> None:
        """Build and time the networks of stages that train and whose time is not known."""
        for stage in TRAINING:
            if self._images and work.epochs(self.params, stage) and self._then(stage) is None:
                self._counted[stage] = work.measured(self.params, stage, self.where)

    def of(self, title: str) -> Cost:
        """Return the cost of one execution."""
        stage = title.partition("@")[0]
        then = self._then(title)
        if then is not None:
            factor = self._factor(stage)
            more = "" if 0.99 < factor < 1.01 else f", {factor:.3g} times the work"
            return Cost(then * factor, f"last run{more}")
        typical = _TYPICAL.get(stage)
        if typical is None:
            return Cost(None, "not known")
        around = typical + _PER_IMAGE.get(stage, 0.0) * (self._images or 0)
        epochs = work.epochs(self.params, stage) if stage in TRAINING else 0
        if not epochs:
            return Cost(around, "typical")
        if stage not in self._counted or self._images is None:
            return Cost(None, "known once ingest has counted the images")
        counted = self._counted[stage]
        seconds = self._images * epochs / counted.images_per_s
        total = counted.macs * self._images * epochs
        speed = f"{counted.images_per_s:,.0f} images/s timed"
        return Cost(seconds + around, f"{_macs(total)} of {epochs} epochs counted, {speed}")

    def _then(self, title: str) -> float | None:
        """Return the seconds of the last run; None of one whose network was another."""
        seconds = (self.past.numbers(title).get("cost") or {}).get("seconds")
        stage = title.partition("@")[0]
        if stage in TRAINING and self._other_network(stage):
            return None
        return float(seconds) if isinstance(seconds, int | float) else None

    def _other_network(self, stage: str) -> bool:
        then = self.past.params(stage)
        return any(
            key in then and _shape(then[key]) != _shape(self.params.get(key))
            for key in ("input", "task", stage)
        )

    def _factor(self, stage: str) -> float:
        """Return how many times the work of the last run a stage that trains has now."""
        then = self.past.params(stage)
        if stage not in TRAINING or not then:
            return 1.0
        factor = 1.0
        if (before := work.epochs(then, stage)) and (now := work.epochs(self.params, stage)):
            factor *= now / before
        seen = self.past.numbers(stage).get("train_images")
        if isinstance(seen, int) and seen and self._images:
            factor *= self._images / seen
        return factor


def _shape(entry: Any) -> Any:
    """Return what of an entry says how much one image costs: not how often, nor how fast."""
    if not isinstance(entry, Mapping):
        return entry
    kept = {name: value for name, value in entry.items() if name not in _FREE}
    return {name: _shape(value) if name == "recipe" else value for name, value in kept.items()}


def _macs(count: float) -> str:
    """Write multiply-accumulates in the unit that suits."""
    for unit, size in (("PMAC", 1e15), ("TMAC", 1e12), ("GMAC", 1e9)):
        if count >= size:
            return f"{count / size:,.3g} {unit}"
    return f"{count / 1e6:,.3g} MMAC"
