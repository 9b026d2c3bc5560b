"""Run: everything the report says about one execution of the pipeline, gathered from its records.

A part that a run does not have is None or empty; the page then says that it is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgepress.records.bundle import Bundle
from edgepress.records.diagnosis import Diagnosed, Slice
from edgepress.records.exported import Exported
from edgepress.records.measurement import Measurement, Score
from edgepress.records.not_exported import NotExported
from edgepress.records.target import Target
from edgepress.records.verdict import Outcome, Verdicts


@dataclass(frozen=True)
class Provenance:
    """Where and from what a run was made."""

    project: str
    commit: str | None
    """Git commit, None outside a repository."""
    dirty: bool
    """Files differed from the commit."""
    date: str
    """ISO 8601 with offset."""
    machine: str
    params_sha256: str
    seed: int


@dataclass(frozen=True)
class StageRun:
    """One stage execution: its cost and what it had to wait for."""

    name: str
    key: str | None = None
    seconds: float | None = None
    """Wall time; None where the stage left no metrics."""
    peak_memory_mb: float | None = None
    after: tuple[str, ...] = ()
    """Titles of the executions it depends on directly."""

    @property
    def title(self) -> str:
        """The stage as DVC writes it: name or name@key."""
        return self.name if self.key is None else f"{self.name}@{self.key}"


@dataclass(frozen=True)
class Model:
    """One link of the chain teacher, student, slimmed student."""

    name: str
    bundle: Bundle
    history: tuple[Mapping[str, float], ...] = ()
    """A line per epoch, see records/history.py."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Name of a score on the test split -> value; the gated one first."""
    size_bytes: int | None = None
    """Bytes of the float weights."""


@dataclass(frozen=True)
class Example:
    """One image of a concept: its id, class and distance to the concept's centre."""

    id: str
    label: str
    distance: float


@dataclass(frozen=True)
class ConceptRun:
    """One concept with examples of what was kept and what was pruned, nearest first."""

    name: str
    size: int
    """Images in it, duplicates among them."""
    kept: int
    complexity: float | None = None
    kept_examples: tuple[Example, ...] = ()
    pruned_examples: tuple[Example, ...] = ()
    duplicates: int = 0
    """Images of it dropped as near-copies before its share was set."""


@dataclass(frozen=True)
class ClassCount:
    """How many training images of a class there were and how many stayed."""

    name: str
    total: int
    kept: int


@dataclass(frozen=True)
class Curation:
    """What curation kept; `concepts` have examples, ordered by complexity, highest first."""

    method: str
    total: int
    kept: int
    concepts: tuple[ConceptRun, ...] = ()
    classes: tuple[ClassCount, ...] = ()
    numbers: tuple[ConceptRun, ...] = ()
    """Every concept, without examples: `concepts` may leave some out."""


@dataclass(frozen=True)
class Data:
    """The images that came in, per split, and those set aside with the reason."""

    task: str
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    quarantined: Mapping[str, int]
    """Reason -> number of images."""


@dataclass(frozen=True)
class Shown:
    """One test item: the picture, with its truth and answers over it or in words."""

    id: str
    why: str
    """What makes it worth a look, for example the least agreement."""
    pictures: tuple[tuple[str, str, bytes | None], ...]
    """What it shows, its caption, and PNG bytes; None where the words alone differ."""

    @property
    def in_words(self) -> bool:
        """Whether one picture stands beside words alone."""
        return not any(data for _, _, data in self.pictures[1:])


@dataclass(frozen=True)
class TargetRun:
    """One target with whatever records it has."""

    target: Target
    exported: Exported | None = None
    not_exported: NotExported | None = None
    measurement: Measurement | None = None
    verdicts: Verdicts | None = None
    baseline: str | None = None
    """Key of the target it is compared with."""
    diagnosed: Diagnosed | None = None
    changed: tuple[Shown, ...] = ()
    """Test items whose answers are farthest from the float network's."""
    folder: Path | None = None
    """Where the exported files lie."""

    @property
    def key(self) -> str:
        """The target's key."""
        return str(self.target)

    @property
    def outcome(self) -> Outcome:
        """The gates' answer; a target without verdicts was not run."""
        return "not-run" if self.verdicts is None else self.verdicts.outcome

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the exported files."""
        if self.measurement is not None:
            return self.measurement.size_bytes
        return None if self.exported is None else self.exported.size_bytes

    @property
    def score(self) -> Score | None:
        """The gated score on the test split, taken from this target's own answers."""
        return None if self.measurement is None else self.measurement.score


@dataclass(frozen=True)
class Run:
    """One execution of the pipeline as its records tell it."""

    provenance: Provenance
    stages: tuple[StageRun, ...] = ()
    data: Data | None = None
    curation: Curation | None = None
    models: tuple[Model, ...] = ()
    """Teacher first: later ones are compared with it."""
    targets: tuple[TargetRun, ...] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    """Image id -> PNG bytes of its thumbnail."""
    answers: tuple[Shown, ...] = ()
    """Test items with their truth and answers drawn, as the task shows them."""
    slices: tuple[Slice, ...] = ()
    """The float network's first score on parts of the test split."""
    hub: str = ""
    """The word that model hubs have for the task."""
    absent: tuple[str, ...] = ()
    """What the run does not have and the page therefore cannot show, one sentence each."""

    def count(self, outcome: Outcome) -> int:
        """Number of targets with this outcome."""
        return sum(target.outcome == outcome for target in self.targets)
