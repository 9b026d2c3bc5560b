"""Measurement: what one export did on one machine, with the conditions it was measured under."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from edgepress.records.record import Record
from edgepress.records.target import Target


class Interval(BaseModel):
    """A value with its two-sided confidence interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float
    confidence: float = 0.95


class Latency(BaseModel):
    """Milliseconds for one item; a percentile is None where too few runs support it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    p50_ms: Interval
    p90_ms: Interval
    p99_ms: Interval | None
    runs: int
    warmup_runs: int
    threads: int
    speedup: Interval | None
    """Baseline p50 over this p50, from interleaved runs; None for the baseline itself."""
    disturbed: float = 0.0
    """Share of the timed blocks that could not be had undisturbed; above the bound nothing is."""


class OutputParity(BaseModel):
    """How far one output tensor is from the Bundle's over the sample."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    error: float
    """Norm of the difference over the norm of what tells the Bundle's answers apart: theirs less
    their mean over items. An offset that all answers share makes it no smaller."""
    cosine: float
    """Mean cosine of the raw outputs over items: a note, as it hides error under a common part."""
    max_abs: float
    """Largest absolute difference of any element."""


class Parity(BaseModel):
    """How far the export's answers are from the Bundle's on the same inputs."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    outputs: tuple[OutputParity, ...]
    sample: int
    """Items whose raw outputs were compared."""
    agreement: float
    """Mean over all items of how far the decoded answers agree, 0 to 1."""
    changed: int
    """Items whose decoded answer is not the Bundle's."""
    items: int
    one_scale: tuple[tuple[str, str], ...] | None = None
    """Pairs of outputs whose values show one scale of 8 bits for both; None was not looked at."""

    @property
    def error(self) -> float:
        """The largest error of any output."""
        return max(output.error for output in self.outputs)


class Score(BaseModel):
    """One figure of merit on the full test split, and what was lost against the float Bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    """In the field's words, for example accuracy, balanced_accuracy, recall, mean_iou, dice."""
    of: str | None = None
    """The class it is of; None where it is of the whole."""
    unit: str = "share"
    """share is 0 to 1."""
    better: Literal["higher", "lower"] = "higher"
    value: Interval
    drop: Interval | None = None
    """How much worse than the float Bundle on the same items, paired; positive is worse."""
    constant: float | None = None
    """What the best answer that looks at no item would score; None where there is no such thing."""
    items: int
    """Items the score rests on."""

    @property
    def surely(self) -> float:
        """The worse end of the interval, which is what is proven."""
        return self.value.low if self.better == "higher" else self.value.high

    @property
    def above_constant(self) -> bool:
        """Whether it is surely better than an answer that looks at no item; True without one."""
        if self.constant is None:
            return True
        if self.better == "higher":
            return self.surely > self.constant
        return self.surely < self.constant


class Energy(BaseModel):
    """Energy of one inference, never guessed in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["measured", "estimated", "unavailable"]
    millijoules: float | None
    reason: str


class Conditions(BaseModel):
    """The machine a measurement was taken on."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    machine: str
    """CPU or board model."""
    cores: int
    isa_flags: tuple[str, ...]
    """Those that change a kernel's arithmetic: avx2, avx512_vnni, avx_vnni, asimddp ..."""
    emulated: bool
    load_average: float
    cpu_mhz: float | None
    temperature_c: float | None
    throttled: bool | None
    tools: dict[str, str]


class Measurement(Record):
    """One per target; a part not to be had on this host is None, its reason in `not_run`."""

    file_name: ClassVar[str] = "measurement.json"
    schema_version: int = 2

    target: Target
    exported_sha256: str
    size_bytes: int
    parity: Parity | None
    scores: tuple[Score, ...]
    """The first is the one the accuracy gate judges; none where the export did not answer."""
    latency: Latency | None
    peak_memory_mb: float | None
    """Peak resident memory of a fresh process that loads the export and runs it."""
    energy: Energy
    conditions: Conditions
    not_run: dict[str, str]
    """Part (integrity, parity, scores, latency, speedup, memory) -> why it was not measured."""

    @property
    def score(self) -> Score | None:
        """The gated score, None where there is none."""
        return self.scores[0] if self.scores else None
