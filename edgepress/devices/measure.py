"""Measure: all that one export can show on this machine, and the reason for all it cannot."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from edgepress.devices import energy, host, latency, memory
from edgepress.devices.accuracy import accuracy
from edgepress.devices.fingerprint import TOOLS
from edgepress.devices.latency import Call, Open, Plan
from edgepress.devices.parity import parity
from edgepress.devices.subject import Subject
from edgepress.errors import UserError
from edgepress.records.measurement import Accuracy, Energy, Latency, Measurement, Parity
from edgepress.records.record import sha256_folder
from edgepress.runtimes.session import NotHere, Session

Images = npt.NDArray[np.float32]
_PARTS = ("parity", "accuracy", "latency", "memory")


@dataclass(frozen=True)
class Reference:
    """The float Bundle's answers on the test split."""

    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    """[N, classes]."""
    bundle_sha256: str
    """Of the Bundle that gave them."""

    @classmethod
    def read(cls, path: Path, bundle_sha256: str) -> Self:
        """Read reference.npz; a missing or damaged file, or unequal lengths, is a UserError."""
        try:
            with np.load(path, allow_pickle=False) as held:
                ids, labels, logits = (held[name] for name in ("ids", "labels", "logits"))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise UserError(f"{path}: not a reference ({error}); run quantize again") from None
        if not (0 < len(ids) == len(labels) == len(logits)) or logits.ndim != 2:
            raise UserError(
                f"{path}: {len(ids)} ids, {len(labels)} labels, logits {logits.shape}; expected "
                "as many of each, at least one; run quantize again"
            )
        return cls(tuple(map(str, ids)), labels, logits.astype(np.float32), bundle_sha256)


def measure(
    subject: Subject,
    baseline: Subject | None,
    reference: Reference,
    batches: Iterable[Images],
    plan: Plan,
) -> Measurement:
    """Measure an export on preprocessed batches [n, C, H, W] in the reference's order of images.

    `baseline` is what it has to beat, None for the baseline itself. What this host cannot show, or
    a broken export, is a reason in `not_run`, not an error.
    """
    throttled = host.throttle_events()
    parts = _Parts()
    try:
        fault = subject.damage(reference.bundle_sha256)
        if fault is not None:
            raise _BrokenError(fault)
        _examine(parts, subject, baseline, (reference, batches), plan)
    except _BrokenError as broken:
        parts.refuse(str(broken), "integrity", *_PARTS)
    after = host.throttle_events()
    target = subject.exported.target
    return Measurement(
        target=target,
        exported_sha256=sha256_folder(subject.folder),
        size_bytes=subject.exported.size_bytes,
        parity=parts.parity,
        accuracy=parts.accuracy,
        latency=parts.latency,
        peak_memory_mb=parts.peak_memory_mb,
        energy=parts.energy,
        conditions=host.conditions(
            TOOLS.get(subject.exported.format, ()),
            None if throttled is None or after is None else after > throttled,
        ),
        not_run=parts.not_run,
    )


class _BrokenError(Exception):
    """The export's own fault: its files, its loading or its running."""


@dataclass
class _Parts:
    """A measurement in the making."""

    parity: Parity | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None
    peak_memory_mb: float | None = None
    energy: Energy = energy.unavailable("nothing was timed on this host")
    not_run: dict[str, str] = field(default_factory=dict)

    def refuse(self, reason: str, *names: str) -> None:
        """Give the reason for each named part that has none yet and no value."""
        for name in names:
            value = self.peak_memory_mb if name == "memory" else getattr(self, name, None)
            if value is None:
                self.not_run.setdefault(name, reason)


def _examine(
    parts: _Parts,
    subject: Subject,
    baseline: Subject | None,
    truth: tuple[Reference, Iterable[Images]],
    plan: Plan,
) -> None:
    held = memory.measure(subject.folder, plan.threads)
    if held.status == "failed":
        raise _BrokenError(held.reason)
    foreign = held.reason if held.status == "not-here" else _foreign(subject)
    session = _open(subject, held, plan.threads)
    if session is None:
        parts.refuse(foreign or held.reason, *_PARTS)
        return
    with closing(session):
        sample = _answer(parts, session, truth, plan)
        if foreign is None:
            parts.energy = energy.measure(functools.partial(session.run, sample), plan.runs)
    if foreign is not None:
        parts.refuse(foreign, *_PARTS)
        return
    parts.peak_memory_mb = held.peak_mb
    rival = None if baseline is None else _rival(parts, baseline, sample, plan.threads)
    parts.latency = latency.measure(_opener(subject, sample, plan.threads), rival, plan)


def _foreign(subject: Subject) -> str | None:
    """Say why times and memory taken here say nothing about the target; None where they do."""
    machine, device = host.here(), subject.exported.target.device
    if machine.emulated:
        return f"{machine.machine}: an emulated processor has no times and no memory of its own"
    if device not in machine.devices:
        own = ", ".join(sorted(machine.devices))
        return f"this machine is {own}, not {device}; measure on a {device}"
    return None


def _open(subject: Subject, held: memory.Memory, threads: int) -> Session | None:
    """Open the export in its runtime or, where this host has none, its graph in a stand-in."""
    try:
        return subject.load(threads) if held.status == "ran" else subject.stand_in(threads)
    except NotHere:
        return None
    except Exception as error:
        raise _BrokenError(f"does not load: {type(error).__name__}: {error}") from error


def _answer(
    parts: _Parts, session: Session, truth: tuple[Reference, Iterable[Images]], plan: Plan
) -> Images:
    """Fill in parity and accuracy over all images; return the first image [1, C, H, W]."""
    reference, batches = truth
    logits = np.empty_like(reference.logits)
    done, sample = 0, None
    for batch in batches:
        for image in batch:
            if done == len(logits):
                raise ValueError(f"more images than the reference's {len(logits)}")
            logits[done] = _run(session, image[None], logits.shape[1])
            done += 1
        sample = batch[:1] if sample is None else sample
    if done < len(logits) or sample is None:
        raise ValueError(f"{done} images for the reference's {len(logits)}")
    parts.parity = parity(logits, reference.logits)
    parts.accuracy = accuracy(logits, reference.logits, reference.labels, plan.confidence)
    return np.ascontiguousarray(sample)


def _run(session: Session, image: Images, classes: int) -> Images:
    try:
        logits = np.asarray(session.run(np.ascontiguousarray(image)))
    except Exception as error:
        raise _BrokenError(f"does not run: {type(error).__name__}: {error}") from error
    if logits.shape != (1, classes):
        raise _BrokenError(f"answers with shape {logits.shape} instead of (1, {classes})")
    return logits


def _opener(subject: Subject, sample: Images, threads: int) -> Open:
    """Return what loads an export afresh to run it on one image [1, C, H, W]."""

    @contextmanager
    def opened() -> Iterator[Call]:
        with closing(subject.load(threads)) as session:
            yield functools.partial(session.run, sample)

    return opened


def _rival(parts: _Parts, baseline: Subject, sample: Images, threads: int) -> Open | None:
    """Return what loads the baseline, tried once; a reason for `speedup` where that fails."""
    opener = _opener(baseline, sample, threads)
    try:
        with opener() as call:
            call()
    except Exception as error:
        why = f"the baseline {baseline.exported.target} does not run: {error}"
        parts.refuse(why, "speedup")
        return None
    return opener
