"""The last steps of detection inside a graph: boxes and confidences of all outputs, suppressed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import TensorSpec
from edgepress.tasks.detection.answers import Answers
from edgepress.tasks.detection.labels import Params
from edgepress.tasks.detection.learning.learning import opened
from edgepress.tasks.task import Ending


class Boxes(nn.Module):
    """The outputs of one item to its boxes [1, A, 4] and their confidences [1, classes, A].

    What lies out of the input is cut off; a box with nothing left has the confidence 0.
    """

    def __init__(self, params: Params, spec: InputSpec, names: tuple[str, ...]) -> None:
        """Take the maps in the order of `names`."""
        super().__init__()
        self.learning, self.names = opened(params), names
        self.limit = torch.tensor([spec.width, spec.height] * 2, dtype=torch.float32)

    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        """Map the maps to boxes and confidences."""
        boxes, scores = self.learning.found(dict(zip(self.names, maps, strict=True)), self.limit)
        boxes = boxes.clamp(min=0.0).minimum(self.limit)
        there = (boxes[..., 2:] > boxes[..., :2]).all(-1, keepdim=True)
        return boxes, torch.where(there, scores, 0.0).transpose(1, 2)


def graph(classes: tuple[str, ...], spec: InputSpec, *, params: Params) -> Ending:
    """Return the ending; its outputs are those of `Answers.decode`, and how many there are."""
    maps, most = Answers(classes, params).outputs(spec), params.most_answers
    return Ending(
        module=Boxes(params, spec, tuple(each.name for each in maps)).eval(),
        maps=maps,
        outputs=(
            TensorSpec(name="boxes", shape=(1, most, 4), layout="NLC"),
            TensorSpec(name="scores", shape=(1, most), layout="NL"),
            TensorSpec(name="category", shape=(1, most), dtype="int32", layout="NL"),
            TensorSpec(name="count", shape=(1,), dtype="int32", layout="N"),
        ),
        least_score=params.least_score,
        overlap=params.overlap,
    )
