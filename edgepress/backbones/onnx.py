"""The graph of an ONNX file as a torch network, its weights with it, held against ONNX Runtime.

The file's last softmax or sigmoid is left off: answers are made of logits. A Bundle holds the graph
as steps beside the weights, so that it needs the file no more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from edgepress.backbones._onnx import conversion, file, static
from edgepress.backbones._onnx.graph import Graph
from edgepress.backbones._onnx.network import GraphNetwork
from edgepress.backbones.features import Backbone, Features, Origin, tried
from edgepress.errors import UserError
from edgepress.params import Config
from edgepress.records.inputs import InputSpec

TRAINED: Final = True
"""Its weights come with it."""
TOLERANCE: Final = 1e-3
"""Largest difference from ONNX Runtime's answers, a share of their largest."""


class Params(Config):
    """Which file."""

    method: Literal["onnx"]
    path: str = Field(min_length=1)
    """An ONNX file with one input, float32 images [1 or N, C, H, W], and the task's outputs."""
    graph: Graph | None = None
    """What a Bundle holds of the file; null reads it."""


class Onnx(Backbone):
    """A graph that gives the task's outputs."""

    info = ()

    def __init__(self, graph: Graph) -> None:
        """Build the graph's network, its weights still to be loaded."""
        super().__init__()
        self.model = GraphNetwork(graph)
        self.held = {"graph": graph.model_dump(mode="json")}
        self.original: file.File | None = None
        self.told: tuple[str, ...] = ()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Map images [N, C, H, W] to the outputs of the graph."""
        return self.model(x)  # type: ignore[no-any-return]

    def origin(self, images: Tensor) -> Origin:
        """Hold answers to images [N, C, H, W] against ONNX Runtime's; others are a UserError."""
        if self.original is None:
            raise ValueError("built from a Bundle, not from a file")
        path = self.original.path
        worst = _worst(self, self.original, images)
        if not worst <= TOLERANCE:
            raise UserError(
                f"{path}: converted, its answers to {len(images)} images are off ONNX Runtime's by "
                f"{worst:.2g} of the largest, at most {TOLERANCE:g} is allowed; export it with "
                "another opset or exporter"
            )
        said = (
            f"{path}: {len(self.model.graph.steps)} operators of opset {self.original.opset}",
            f"answers to {len(images)} images as ONNX Runtime's, off by at most {worst:.1e} of the "
            "largest",
            *self.told,
        )
        return Origin(self.original.lineage, "; ".join(said))


def build(spec: InputSpec, features: Features, *, params: Params) -> Backbone:
    """Return the graph's network with the file's weights, or blank from what a Bundle holds."""
    if features != "outputs":
        raise UserError("an ONNX file ends in the task's outputs itself; set head: {method: own}")
    if params.graph is not None:
        return Onnx(params.graph)
    original = file.read(Path(params.path))
    told = [*file.fixed(original, spec), *static.without_ending(original.model)]
    graph, weights = conversion.converted(static.folded(original), original.opset, original.path)
    network = Onnx(graph)
    network.model.load_state_dict({name: _tensor(each) for name, each in weights.items()})
    network.original, network.told = original, tuple(told)
    tried(network, spec, f"{original.path}, converted,")
    return network


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, order="C"))  # an array of the file's own, writable


def _worst(network: nn.Module, original: file.File, images: Tensor) -> float:
    """Return the largest difference of any output, a share of that output's largest number."""
    session = original.session()
    training = network.training
    network.eval()
    with torch.inference_mode():
        found = network(images)
    network.train(training)
    ours = found if isinstance(found, tuple) else (found,)
    name = session.get_inputs()[0].name
    answers = [session.run(None, {name: image[None].numpy()}) for image in images]
    worst = 0.0
    for mine, theirs in zip(ours, zip(*answers, strict=True), strict=True):
        whole = np.concatenate(theirs).astype(np.float64)
        if not np.isfinite(whole).all():
            raise UserError(f"{original.path}: ONNX Runtime's answers hold NaN or infinity")
        _refuse_probabilities(original.path, whole)
        off = np.abs(mine.numpy().astype(np.float64) - whole).max()
        worst = max(worst, float(off / max(np.abs(whole).max(), 1e-12)))
    return worst


def _refuse_probabilities(path: Path, answers: Any) -> None:
    """Refuse numbers between 0 and 1 that sum to 1: a softmax of them would be their second."""
    shares = answers.ndim > 1 and answers.shape[1] > 1 and answers.min() >= 0
    if shares and np.abs(answers.sum(axis=1) - 1).max() < 1e-3:
        raise UserError(
            f"{path}: gives probabilities that sum to 1, expected logits, and does not end in a "
            "Softmax that could be left off; export the network without it"
        )
