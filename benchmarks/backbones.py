"""Which of timm's architectures work under every task: a small model of each family, built,
run and learning one step with a pooled head and with a head on maps.

Run: python benchmarks/backbones.py [--side 224] [--families vision_transformer,resnet]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from typing import Any

import timm
import torch

from edgepress.bundles.network import Blueprint, build, named
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task

CLASSES = ("one", "two", "three")
WORDS: tuple[str, ...] = (
    "test_",
    "zepto",
    "atto",
    "femto",
    "pico",
    "nano",
    "micro",
    "xxs",
    "_xs",
    "tiny",
    "_050",
)
WORDS += ("small", "_s0", "_b0", "_m0", "_t0", "18", "_s", "_t")
"""What names of small models hold, the smallest first."""
LARGE = ("large", "huge", "giant", "gigantic", "enormous", "xl", "_l", "_h")
"""What names of large models hold; taken where a family has nothing else."""
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "classification": ({"method": "classification"}, {"method": "linear"}),
    "segmentation": (
        {"method": "segmentation", "ignore_index": None, "argmax": False},
        {"method": "unet", "width": 16},
    ),
}


def main() -> None:
    """Print a line for each family, what does not work under each task, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--families", default="")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    wanted = given.families.split(",") if given.families else timm.list_modules()
    counts = dict.fromkeys(WAYS, 0)
    tried = 0
    for family, model in small(wanted):
        tried += 1
        start = time.perf_counter()
        for spec in sizes(model, given.side):
            problems = {task: try_one(model, task, spec) for task in WAYS}
            if not any(problems.values()):
                break
        for task, problem in problems.items():
            counts[task] += not problem
        said = "; ".join(f"{task}: {words}" for task, words in problems.items() if words) or "works"
        seconds = time.perf_counter() - start
        print(f"{family:<24} {model:<36} {spec.height:>4} {seconds:6.1f} s  {said}", flush=True)
    print(f"{tried} families: " + ", ".join(f"{name} {n}" for name, n in counts.items()))


def small(families: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each family with the model that its name and published input say is small."""
    for family in families:
        models = timm.list_models(module=family)
        if models:
            yield family, min(models, key=_size)


def _size(model: str) -> tuple[bool, int, int, int, str]:
    ranks = [rank for rank, word in enumerate(WORDS) if word in model]
    large = any(word in model for word in LARGE)
    config = timm.get_pretrained_cfg(model)
    side = 0 if config is None else config.input_size[1]
    return (large, min(ranks, default=len(WORDS)), side, len(model), model)


def sizes(model: str, side: int) -> list[InputSpec]:
    """Return the inputs to try: `side`, then the published one, or that alone if it is fixed."""
    config = timm.get_pretrained_cfg(model)
    published = side if config is None else config.input_size[1]
    only = config is not None and config.fixed_input_size
    half = (0.5,) * 3
    return [
        InputSpec(height=each, width=each, channels=3, mean=half, std=half)
        for each in dict.fromkeys([published] if only else [side, published])
    ]


def try_one(model: str, name: str, spec: InputSpec) -> str:
    """Return why a model does not work under a task, or nothing."""
    entry, head = WAYS[name]
    task = Task.open(entry, CLASSES, "benchmark")
    outputs = task.learner.outputs(spec)
    backbone = {"method": "timm", "model": model, "pretrained": False}
    torch.manual_seed(0)
    try:
        network = build(Blueprint(backbone, head, spec, outputs))
    except UserError as error:
        return str(error)[:160]
    images = torch.rand(2, spec.channels, spec.height, spec.width)
    found = named(network(images), tuple(output.name for output in outputs))
    shapes = [tuple(found[output.name].shape[1:]) for output in outputs]
    if shapes != [output.shape[1:] for output in outputs]:
        return f"gives {shapes}"
    truth = {
        "label": torch.tensor([0, 1]),
        "mask": torch.zeros(2, spec.height, spec.width, dtype=torch.uint8),
    }
    loss = task.learner.loss(found, truth)["loss"]
    loss.backward()  # type: ignore[no-untyped-call]
    return "" if torch.isfinite(loss) else "the loss is not finite"


if __name__ == "__main__":
    main()
