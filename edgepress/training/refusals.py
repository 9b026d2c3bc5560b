"""Refusals: what a recipe asks for that the task it is to learn cannot give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgepress.tasks.task import Task
from edgepress.training.mixing import UNMIXED, refused

if TYPE_CHECKING:  # What checks parameters need not load the parts of every recipe.
    from edgepress.training.recipe import Recipe


def refusals(recipe: Recipe, task: Task | None) -> Iterator[tuple[str, str]]:
    """Yield key and reason of each part that must go; `task` is None where labels are not read."""
    for kind in refused(recipe.augment, task.learner if task else None):
        yield f"augment.{kind}", UNMIXED
    balance = task.balance if task else None
    by_class = balance.loss if balance else None
    who = f"{task.name} learns by a loss of its own" if task else "this learns without labels"
    if recipe.loss is not None and by_class is None:
        yield "loss", f"{who}; remove it"
    one_of_all = recipe.loss is not None and getattr(recipe.loss.module, "EXCLUSIVE", False)
    if recipe.loss is not None and one_of_all and by_class and not by_class.exclusive:
        yield (
            "loss.method",
            f"{recipe.loss.name} is for classes that exclude one another; take "
            "binary_cross_entropy, focal or asymmetric",
        )
    if recipe.class_weights != "none" and by_class is None:
        yield "class_weights", f"{who}, whose classes have no weights; set none"
    if recipe.sampler.name != "uniform" and balance is None:
        who = f"{task.name} does not tell images by classes" if task else who
        yield "sampler.method", f"{who}; set uniform"
