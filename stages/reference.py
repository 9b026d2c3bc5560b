"""The float network's answers to the test split, which every export is compared with."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

import torch
from torch import nn

from edgepress.bundles.network import named
from edgepress.data.images import ImageSet
from edgepress.progress import Progress
from edgepress.records.inputs import InputSpec
from edgepress.records.reference import OpenReference, sampled
from edgepress.records.tensors import Arrays, Tensors
from edgepress.tasks.parts import Parted
from edgepress.tasks.task import Task, item, joined
from stages.prepared import prepared

_DOING = "answering test images"


def refer(
    network: nn.Module, images: ImageSet, task: Task, spec: InputSpec, progress: Progress
) -> OpenReference:
    """Answer every test image, holding one batch of pixels and outputs at a time."""
    rows = sampled(images.ids, task.answers.outputs(spec))
    found = _Answers(task.learner.deployed(network).eval(), task, spec, frozenset(rows))
    for batch in prepared(images, task, spec):
        progress(_DOING, found.items, len(images))
        found.add(batch)
    progress(_DOING, found.items, len(images))
    truth = images.truth(task.labels, spec)
    answers, raw = joined(found.answers), joined(found.raw)
    return OpenReference(tuple(images.ids), truth, answers, rows, raw, "", images.groups)


@dataclass
class _Answers:
    """What a network answered so far, and its raw outputs for the items of `rows`."""

    network: nn.Module
    task: Task
    spec: InputSpec
    rows: Set[int]
    items: int = 0
    answers: list[Arrays] = field(default_factory=list)
    raw: list[Arrays] = field(default_factory=list)

    def add(self, batch: Tensors | Parted) -> None:
        """Answer whole items, or one in its parts."""
        if isinstance(batch, Parted):
            self.answers.append(batch.merged(joined(self._parts(batch))))
            self.items += 1
            return
        held, count = self._run(batch)
        self.answers.append(self.task.answers.decode(held, self.spec))
        wanted = (place for place in range(count) if self.items + place in self.rows)
        self.raw += [item(held, place) for place in wanted]
        self.items += count

    def _parts(self, batch: Parted) -> list[Arrays]:
        found, done = [], 0
        for some in batch.batches:
            held, count = self._run(some)
            if self.items in self.rows and done <= batch.kept < done + count:
                self.raw.append(item(held, batch.kept - done))
            found.append(self.task.answers.decode(held, self.spec))
            done += count
        return found

    def _run(self, inputs: Tensors) -> tuple[Arrays, int]:
        """Return the outputs for inputs, and for how many."""
        names = tuple(output.name for output in self.task.answers.outputs(self.spec))
        given = [torch.from_numpy(values) for values in inputs.values()]
        with torch.inference_mode():
            found = named(self.network(*given), names)
        return {name: values.numpy() for name, values in found.items()}, len(given[0])
