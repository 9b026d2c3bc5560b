"""Measure: all that one export can show on this machine, and the reason for all it cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from edgepress.devices import energy, host
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Energy, Latency, Measurement, Parity, Score
from edgepress.records.record import sha256_folder
from edgepress.records.reference import OpenReference
from edgepress.records.tensors import Arrays, Tensors
from edgepress.runtimes.session import NotHere, Session
from edgepress.tasks.parts import Parted
from edgepress.tasks.task import Task
from edgepress.validation import latency, memory
from edgepress.validation.alone import DisturbedError
from edgepress.validation.answering import Answering, BrokenError, Sample
from edgepress.validation.latency import Open, Plan
from edgepress.validation.parity import parity
from edgepress.validation.subject import Subject
from edgepress.validation.watch import Call

_PARTS = ("parity", "scores", "latency", "memory")


@dataclass(frozen=True)
class Truth:
    """What an export is held against: the float Bundle's answers to the test items, and how."""

    reference: OpenReference
    batches: Iterable[Tensors | Parted]
    """Prepared items in the reference's order, name -> [n, ...], or one that has parts."""
    task: Task
    spec: InputSpec


def measure(
    subject: Subject,
    baseline: Subject | None,
    truth: Truth,
    plan: Plan,
    answered: Callable[[Arrays], None] = lambda answers: None,
) -> Measurement:
    """Measure an export against the truth, and its speed against the baseline.

    `baseline` is what it has to beat, None for the baseline itself. What this host cannot show, or
    a broken export, is a reason in `not_run`, not an error. `answered` is told the decoded answers
    to all items, once there are any.
    """
    throttled = host.throttle_events()
    parts = _Parts()
    try:
        fault = subject.damage(truth.reference.bundle_sha256)
        if fault is not None:
            raise BrokenError(fault)
        _examine(parts, subject, baseline, truth, plan)
    except BrokenError as broken:
        parts.refuse(str(broken), "integrity", *_PARTS)
    if parts.answers is not None:
        answered(parts.answers)
    after = host.throttle_events()
    return Measurement(
        target=subject.exported.target,
        exported_sha256=sha256_folder(subject.folder),
        size_bytes=subject.exported.size_bytes,
        parity=parts.parity,
        scores=parts.scores,
        latency=parts.latency,
        peak_memory_mb=parts.peak_memory_mb,
        energy=parts.energy,
        conditions=host.conditions(
            subject.exported.tools,
            None if throttled is None or after is None else after > throttled,
        ),
        not_run=parts.not_run,
    )


@dataclass
class _Parts:
    """A measurement in the making."""

    parity: Parity | None = None
    scores: tuple[Score, ...] = ()
    latency: Latency | None = None
    peak_memory_mb: float | None = None
    energy: Energy = energy.unavailable("no inference was timed on this machine")
    answers: Arrays | None = None
    not_run: dict[str, str] = field(default_factory=dict)

    def refuse(self, reason: str, *names: str) -> None:
        """Give the reason for each named part that has none yet and no value."""
        for name in names:
            value = self.peak_memory_mb if name == "memory" else getattr(self, name, None)
            if value is None or value == ():
                self.not_run.setdefault(name, reason)


def _examine(
    parts: _Parts, subject: Subject, baseline: Subject | None, truth: Truth, plan: Plan
) -> None:
    threads = plan.timing.threads
    plan.progress("loading in a fresh process", 0, 1)
    held = memory.measure(subject.folder, threads)
    if held.status == "failed":
        raise BrokenError(held.reason)
    foreign = held.reason if held.status == "not-here" else _foreign(subject)
    reasons = [foreign or held.reason]
    try:
        session = _open(subject, held, threads)
    except NotHere as absence:
        session, reasons = None, [*reasons, absence.reason]
    if session is None:
        parts.refuse("; ".join(dict.fromkeys(reasons)), *_PARTS)
        return
    with closing(session):
        sample = _answer(parts, subject, session, truth, plan)
        if foreign is None:
            parts.energy = energy.measure(sample.on(session), plan.timing.runs)
    if foreign is not None:
        parts.refuse(foreign, *_PARTS)
        return
    parts.peak_memory_mb = held.peak_mb
    rival = None if baseline is None else _rival(parts, baseline, sample, threads)
    try:
        parts.latency = latency.measure(_opener(subject, sample, threads), rival, plan)
    except DisturbedError as busy:
        parts.refuse(str(busy), "latency", "speedup")


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
    """Open the export in its runtime or, where this host has none, its graph in a stand-in.

    None where there is no stand-in, NotHere where it cannot follow the graph.
    """
    try:
        return subject.load(threads) if held.status == "ran" else subject.stand_in(threads)
    except NotHere:
        raise
    except Exception as error:
        raise BrokenError(f"does not load: {type(error).__name__}: {error}") from error


def _answer(parts: _Parts, subject: Subject, session: Session, truth: Truth, plan: Plan) -> Sample:
    """Fill in parity and scores over all items; return what is to be timed."""
    reference, rules = truth.reference, truth.task.answers
    decode = functools.partial(rules.decode, spec=truth.spec)
    found = Answering(session, subject.exported, reference, decode, plan.progress)
    for batch in truth.batches:
        found.add(batch)
    sample, (ours, raw) = found.sample, found.whole()
    parts.answers = ours
    agreement = rules.agreement(ours, reference.answers)
    raw = truth.task.ordered(raw, reference.raw)
    parts.parity = parity(raw, reference.raw, agreement, found.spoilt)
    confidence = plan.timing.confidence
    parts.scores = rules.score(
        ours, reference.answers, reference.truth, confidence, reference.groups
    )
    return sample


def _opener(subject: Subject, sample: Sample, threads: int) -> Open:
    """Return what loads an export afresh to run it on one item."""

    @contextmanager
    def opened() -> Iterator[Call]:
        with closing(subject.load(threads)) as session:
            yield sample.on(session)

    return opened


def _rival(parts: _Parts, baseline: Subject, sample: Sample, threads: int) -> Open | None:
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
