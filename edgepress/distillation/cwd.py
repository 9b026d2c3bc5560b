"""Channel-wise knowledge distillation of feature maps, after Shu et al. 2021.

Paper: https://arxiv.org/abs/2011.13256. A channel of a map, softened over its places, says where it
looks; the student's channels learn to look where the teacher's do. Where the widths differ a 1x1
convolution of the student's map stands between, where the strides differ it is resized; both are
learnt with the student, kept in its checkpoint, and thrown away. The teacher runs live, whatever
the augmentation: the maps of one image are many times as large as its answers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, kl_div, log_softmax

from edgepress.backbones.features import FeatureInfo, Features
from edgepress.bundles.network import Network, named
from edgepress.distillation.teacher import Teacher
from edgepress.errors import UserError
from edgepress.training.criterion import criterion
from edgepress.training.loop import Batch, Job, fit
from edgepress.training.recipe import Recipe

FEATURES: Features = "maps"
"""What the backbones of both networks have to give."""


class Params(Recipe):
    """The loop's recipe, how soft the maps are, and what they count beside the task's loss."""

    method: Literal["cwd"]
    temperature: float = Field(gt=0, le=100)
    """Both networks' maps are divided by it before the softmax over places; 4 in the paper."""
    weight: float = Field(ge=0, le=1000)
    """What the maps' term counts beside the task's loss, which counts 1; 50 in the paper, for one
    map."""


class Follower(nn.Module):
    """A student and the 1x1 convolutions between its maps and a teacher's.

    In training it gives the student's outputs with the adapted maps, otherwise the outputs alone.
    """

    def __init__(self, student: Network, info: tuple[FeatureInfo, ...], seed: int) -> None:
        """Pair the maps of `student` with those of a teacher, which `info` says."""
        super().__init__()
        self.student = student
        self.pairs = pairs(student.backbone.info, info)
        """Index of a student's map and of the teacher's map that it follows."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adapters = nn.ModuleList(
                _adapter(student.backbone.info[mine].channels, info[theirs].channels)
                for mine, theirs in self.pairs
            )

    def forward(self, images: Tensor) -> object:
        """Map images [N, C, H, W] to outputs; in training to (outputs, maps)."""
        if not self.training:
            return self.student(images)
        maps = self.student.backbone(images)
        adapted = [
            adapt(maps[mine]) for (mine, _), adapt in zip(self.pairs, self.adapters, strict=True)
        ]
        return self.student.head(maps), adapted


def distill(job: Job, teacher: Teacher, *, params: Params) -> list[dict[str, float]]:
    """Train job.network, the student, in place; return one record per epoch.

    A network whose backbone gives one pooled vector has no maps: a UserError.
    """
    names = tuple(output.name for output in job.learner.outputs(job.train.spec))
    cost = criterion(job, params)
    follower = Follower(
        _with_maps(job.network, "student"),
        _with_maps(teacher.network, "teacher").backbone.info,
        job.seed,
    )
    teacher.prepare()

    def objective(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs, mine = network(batch.inputs)
        theirs = teacher.maps(batch.inputs)
        found = cost(named(outputs, names), batch.truth)
        terms = [
            divergence(each, theirs[index], params.temperature)
            for each, (_, index) in zip(mine, follower.pairs, strict=True)
        ]
        apart = torch.stack(terms).mean()
        return {**found, "loss": found["loss"] + params.weight * apart, "maps_loss": apart}

    return fit(replace(job, network=follower), params, objective)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 * KL(teacher || student) over the places of each channel, their mean, a scalar.

    Maps [N, C, h, w] of as many channels; the student's is resized to the teacher's height and
    width, bilinearly.
    """
    mine, theirs = student.float(), teacher.float()
    if mine.shape[2:] != theirs.shape[2:]:
        mine = interpolate(mine, theirs.shape[2:], mode="bilinear", align_corners=False)
    far = kl_div(
        log_softmax(mine.flatten(2) / temperature, 2),
        log_softmax(theirs.flatten(2) / temperature, 2),
        reduction="none",
        log_target=True,
    )
    return temperature**2 * far.sum(2).mean()


def pairs(
    student: tuple[FeatureInfo, ...], teacher: tuple[FeatureInfo, ...]
) -> tuple[tuple[int, int], ...]:
    """Return which map of a student follows which of a teacher's, as indices.

    Each follows the one nearest in stride; of those that would follow the same, the nearest does.
    """
    nearest: dict[int, tuple[float, int]] = {}
    for mine, here in enumerate(student):
        far = [abs(math.log(here.reduction / there.reduction)) for there in teacher]
        theirs = min(range(len(far)), key=far.__getitem__)
        nearest[theirs] = min(nearest.get(theirs, (math.inf, 0)), (far[theirs], mine))
    return tuple(sorted((mine, theirs) for theirs, (_, mine) in nearest.items()))


def _adapter(mine: int, theirs: int) -> nn.Module:
    return nn.Identity() if mine == theirs else nn.Conv2d(mine, theirs, 1, bias=False)


def _with_maps(network: nn.Module, who: str) -> Network:
    if isinstance(network, Network) and all(each.reduction for each in network.backbone.info):
        return network
    raise UserError(
        f"distill.recipe.method: cwd needs feature maps, and the {who}'s backbone gives one pooled "
        "vector; use logits, or a head that takes maps"
    )
