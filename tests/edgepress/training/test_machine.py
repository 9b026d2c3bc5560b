from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from edgepress.training import machine
from tests.parts import PARTS

CASES = [(channels, images) for channels in (2, 4, 6, 8, 12) for images in (1, 3)]
TRAIN = f"""
import os, sys
import numpy as np, torch
from torch import nn
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.examples import Examples
from edgepress.training.loop import Job

recipe = dict(method="supervised", epochs=20, batch=64, learning_rate=0.01, weight_decay=0.0,
              label_smoothing=0.0, augment="none", precision="fp32", **{PARTS})
train = resolve("training", recipe, "test", "recipe")
task = Task.open({{"method": "classification"}}, tuple("01234567"), "test")


def run(narrow, images):
    network = nn.Sequential(
        nn.Conv2d(images, narrow, 3, padding=1), nn.Conv2d(narrow, 8, 1, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )
    half = (0.5,) * images
    spec = InputSpec(height=8, width=8, channels=images, mean=half, std=half)
    pixels = np.random.default_rng(0).integers(0, 255, (640, 8, 8, images), np.uint8)
    examples = Examples(pixels, {{"label": np.arange(640) % 8}}, spec)
    train(Job(network, examples, examples, 0, task))


for narrow, images in {CASES}:
    child = os.fork()
    if not child:
        run(narrow, images)
        print("with a compiler" if "torch._dynamo" in sys.modules else "alone", flush=True)
        os._exit(0)
    print(narrow, images, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def trainings() -> subprocess.CompletedProcess[str]:
    """Every case in a process of its own, forked from one that has paid for the imports."""
    return subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=True)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("channels", [2, 4, 6, 8, 12])
def test_training_survives_when_a_strided_pointwise_convolution_is_narrow(
    channels: int, images: int, trainings: subprocess.CompletedProcess[str]
) -> None:
    assert f"{channels} {images} 0" in trainings.stdout.splitlines(), trainings.stderr


def test_compiler_is_not_imported_when_training_eagerly(
    trainings: subprocess.CompletedProcess[str],
) -> None:
    """It takes longer than the trainings of these tests together."""
    assert trainings.stdout.splitlines().count("alone") == len(CASES)


@pytest.mark.parametrize(("channels", "last"), [(6, False), (8, True)])
def test_weights_lie_channels_last_when_that_is_safe(channels: int, last: bool) -> None:
    network = nn.Sequential(nn.Conv2d(channels, 16, 3), nn.Conv2d(16, 16, 1, 2))
    if not last:
        network.append(nn.Conv2d(channels, 16, 1, 2))
    placed = machine.place(network, torch.device("cpu"))
    assert placed[0].weight.is_contiguous(memory_format=torch.channels_last) == last


def test_weights_stay_as_they_are_when_one_has_five_dimensions() -> None:
    network = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv3d(1, 2, 3))
    placed = machine.place(network, torch.device("cpu"))
    assert placed[0].weight.is_contiguous()
