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
    """Milliseconds for one image; a percentile is None where too few runs support it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    p50_ms: Interval
    p90_ms: Interval
    p99_ms: Interval | None
    runs: int
    warmup_runs: int
    threads: int
    speedup: Interval | None
    """Baseline p50 over this p50, from interleaved runs; None for the baseline itself."""


class Parity(BaseModel):
    """How far the export's outputs are from the Bundle's on the same inputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cosine: float
    """Mean cosine similarity of logits over images."""
    max_abs: float
    """Largest absolute difference of any logit."""
    top1_agreement: float
    """Share of images with the same highest logit."""
    images: int


class Accuracy(BaseModel):
    """Task metric on the full test split, and the paired drop against the float Bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top1: Interval
    drop_points: Interval
    images: int


class Energy(BaseModel):
    """Energy of one inference, never guessed in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["measured", "estimated", "unavailable"]
    millijoules: float | None
    reason: str


class Conditions(BaseModel):
    """The machine a measurement was taken on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    target: Target
    exported_sha256: str
    size_bytes: int
    parity: Parity | None
    accuracy: Accuracy | None
    latency: Latency | None
    peak_memory_mb: float | None
    """Peak resident memory of a fresh process that loads the export and runs it."""
    energy: Energy
    conditions: Conditions
    not_run: dict[str, str]
    """Part (parity, accuracy, latency, memory) -> why it could not be measured here."""
