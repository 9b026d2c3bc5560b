"""Criterion: what a batch costs by a recipe: the task's own loss, or one that the recipe makes.

The recipe may name another loss where the task's is a sum over classes, and weigh the classes. Of
classes that exclude one another an image counts by the weight of its class, of others each class's
term counts by its own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgepress.tasks.balance import ByClass
from edgepress.training.loop import Job
from edgepress.training.losses.wanted import Wanted
from edgepress.training.recipe import Recipe
from edgepress.training.weights import weights

Outputs = dict[str, Tensor]
Criterion = Callable[[Outputs, Outputs], Outputs]
"""A batch's outputs and truths to `loss`, a scalar, and others worth a curve."""


def criterion(job: Job, recipe: Recipe, smoothing: float = 0.0) -> Criterion:
    """Return the recipe's loss; `smoothing` is the share of a label that is spread."""
    learner = job.learner
    rules = None if job.task is None or job.task.balance is None else job.task.balance.loss
    if rules is None or (recipe.loss is None and recipe.class_weights == "none"):
        return lambda outputs, truth: learner.loss(outputs, truth, smoothing)
    by_class = _weighed(job, recipe)

    def cost(outputs: Outputs, truth: Outputs) -> Outputs:
        with torch.no_grad():
            found = learner.loss(outputs, truth, smoothing)
        wanted = Wanted(rules.wanted(truth), rules.exclusive, smoothing)
        terms = _terms(recipe, rules, outputs[rules.logits].float(), wanted)
        if by_class is not None:
            each = by_class.to(terms)
            own = (wanted.shares * each).sum(1, keepdim=True)
            terms = terms * (own if rules.exclusive else each)
        return {**found, "loss": terms.sum(1).mean()}

    return cost


def _weighed(job: Job, recipe: Recipe) -> Tensor | None:
    """Return the weight of each class, [classes]; None where all have the same."""
    if recipe.class_weights == "none" or job.task is None:
        return None
    return torch.from_numpy(weights(recipe.class_weights, job.shown(), job.task.classes)).float()


def _terms(recipe: Recipe, rules: ByClass, logits: Tensor, wanted: Wanted) -> Tensor:
    if recipe.loss is None:
        return rules.terms(logits, wanted.smooth(wanted.shares))
    found: Tensor = recipe.loss(logits, wanted)
    return found
