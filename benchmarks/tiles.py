"""Small digits in large pictures: answered tile by tile, against the whole picture shrunk.

A network for 64 x 64 learns digit scenes of that size; the test pictures are 256 x 256 with up to
30 digits of 10 to 20 pixels. Average precision by the task's own scores, truth in the picture's
pixels; the time is the processor's for one picture, network and merging together.
Run: python benchmarks/tiles.py [--epochs 6] [--pictures 60]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from edgepress.bundles.network import Blueprint, build, named
from edgepress.data.labels import Seen
from edgepress.data.preprocess import fitted, normalise
from edgepress.data.sources import digit_scenes
from edgepress.data.sources._digits import digits
from edgepress.data.window import Window
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.tensors import Arrays
from edgepress.tasks.detection.answers import Answers
from edgepress.tasks.detection.tiles import answered, merged
from edgepress.tasks.detection.windows import Tiles
from edgepress.tasks.task import Task, joined
from edgepress.training.examples import Examples
from edgepress.training.loop import Job

SIDE, LARGE, MOST = 64, 256, 30
SPEC = InputSpec(height=SIDE, width=SIDE, channels=1, mean=(0.3,), std=(0.35,))
WHOLE = SPEC.model_copy(update={"height": LARGE, "width": LARGE})
TASK = Task.open(
    {
        **{"method": "detection", "strides": [4, 8, 16], "most_objects": 40, "most_answers": 100},
        **{"least_score": 0.05, "overlap": 0.6, "sure": 0.4},
    },
    tuple("0123456789"),
    "benchmark",
)
RECIPE = {
    **{"method": "supervised", "batch": 32, "learning_rate": 0.05, "weight_decay": 0.0005},
    "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "schedule": {"method": "one_cycle", "warmup": 0.15},
    **{"label_smoothing": 0.0, "augment": "none", "precision": "fp32"},
}


def truth_of(objects: list[dict[str, Any]], side: int, spec: InputSpec) -> Arrays:
    """Return the truth of one scene."""
    label = {"width": side, "height": side, "relative": False, "objects": objects}
    kept = TASK.labels.admit(label, Seen(side, side), _no_file)
    return TASK.labels.truth(kept.label, spec, _no_file)


def _no_file(path: str) -> bytes:
    raise AssertionError(path)


def learnt(epochs: int) -> torch.nn.Module:
    """Return a network that has learnt scenes of its own size."""
    params = digit_scenes.Params(method="digit_scenes", scenes=2000, side=SIDE, least=0, most=4)
    scenes = [each for each in digit_scenes._scenes(params) if each[0] == "train"]
    pixels = np.stack([canvas[..., None] for _, canvas, _ in scenes])
    truth = joined([truth_of(objects, SIDE, SPEC) for _, _, objects in scenes])
    torch.manual_seed(0)
    head = {"method": "decoupled", "width": 32, "depth": 1}
    backbone = {"method": "resnet_cifar", "depth": 8, "width": 16}
    network = build(Blueprint(backbone, head, SPEC, TASK.learner.outputs(SPEC)))
    train = resolve("training", {**RECIPE, "epochs": epochs}, "benchmark", "recipe")
    train(Job(network, Examples(pixels, truth, SPEC), None, 0, TASK))
    return network.eval()


def pictures(count: int) -> list[tuple[Image.Image, Arrays]]:
    """Return large pictures of digits that no training scene has, with their truths."""
    levels, known = digits()
    rng = np.random.default_rng(1)
    pool = np.arange(int(0.7 * len(levels)), len(levels))
    found = []
    for _ in range(count):
        canvas = rng.integers(0, 60, (LARGE, LARGE)).astype(np.uint8)
        objects: list[dict[str, Any]] = []
        for index in rng.choice(pool, MOST):
            size = int(rng.integers(10, 21))
            drawn = np.asarray(Image.fromarray(levels[index]).resize((size, size)))
            left, top = rng.integers(0, LARGE - size + 1, 2).tolist()
            one = digit_scenes._object(drawn, int(known[index]), (left, top))
            if not any(digit_scenes._touch(one["box"], each["box"]) for each in objects):
                place = canvas[top : top + size, left : left + size]
                np.maximum(place, drawn, out=place)
                objects.append(one)
        found.append((Image.fromarray(canvas), truth_of(objects, LARGE, WHOLE)))
    return found


def main() -> None:
    """Print average precision and time of each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--pictures", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(1)
    network, items = learnt(given.epochs), pictures(given.pictures)
    names = tuple(each.name for each in TASK.answers.outputs(SPEC))
    rules = TASK.answers
    assert isinstance(rules, Answers)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            found = named(network(torch.from_numpy(images)), names)
        return {name: values.numpy() for name, values in found.items()}

    truth = joined([each for _, each in items])
    ways = {f"tiles, overlap {o:g}": Tiles(overlap=o, whole=False) for o in (0.0, 0.25, 0.35)}
    ways["tiles 0.35 and the whole"] = Tiles(overlap=0.35, whole=True)
    for name, tiles in {"the whole, shrunk": None, **ways}.items():
        began = time.process_time()
        answers = joined([_answer(picture, rules, tiles, run) for picture, _ in items])
        spent = (time.process_time() - began) / len(items) * 1e3
        scores = {s.name: s for s in rules.score(answers, None, truth, 0.95) if s.of is None}
        shown = ", ".join(
            f"{key} {scores[key].value.value:.3f} "
            f"({scores[key].value.low:.3f} to {scores[key].value.high:.3f})"
            for key in ("mean_ap", "mean_ap_50", "mean_ap_small")
        )
        print(f"{name:<26} {shown}; {spent:.1f} ms a picture", flush=True)


def _answer(picture: Image.Image, rules: Answers, tiles: Tiles | None, run: Any) -> Arrays:
    if tiles is not None:
        return answered(picture, SPEC, rules, tiles, run)
    found = rules.decode(run(normalise(fitted(picture, SPEC)[None], SPEC)), SPEC)
    return merged(found, [Window(0, 0, *picture.size)], SPEC, rules)


if __name__ == "__main__":
    main()
