"""A network trained for a moment on real digits, another of small parts, and jobs for both."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from edgepress.bundles.surgery import fold
from edgepress.data.preprocess import normalise
from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import ExportJob
from edgepress.methods import resolve
from edgepress.records.bundle import Bundle
from edgepress.records.exported import Exported
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import Quantized, Recipe, TensorScale
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec
from tests.classified import network as classifier

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
LOGITS = (TensorSpec(name="logits", shape=(1, 10), layout="NC"),)
BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}


@dataclass(frozen=True)
class Trained:
    """A network in eval mode, images it has and has not seen, and its answers to the latter."""

    network: nn.Module
    calibration: npt.NDArray[np.uint8]
    images: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]

    def cosine(self, answers: npt.NDArray[np.float32]) -> float:
        """Return the mean cosine similarity of logits [N, 10] to the network's own."""
        scale = np.linalg.norm(answers, axis=1) * np.linalg.norm(self.logits, axis=1)
        return float(((answers * self.logits).sum(1) / scale).mean())


@pytest.fixture(scope="session")
def trained() -> Trained:
    torch.manual_seed(0)
    digits = load_digits()
    pixels = np.kron(np.round(digits.images * 255 / 16), np.ones((2, 2))).astype(np.uint8)
    images = torch.from_numpy(normalise(pixels[..., None], SPEC))
    labels = torch.from_numpy(digits.target)
    network = classifier(SPEC, 10, BACKBONE)
    optimizer = torch.optim.Adam(network.parameters(), 0.005)
    network.train()
    for step in range(90):
        rows = torch.arange(step * 32, step * 32 + 32) % 1500
        loss = nn.functional.cross_entropy(network(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        logits = network(images[1500:1600])
    assert (logits.argmax(1) == labels[1500:1600]).float().mean() > 0.8
    calibration = pixels[:64, ..., None]
    return Trained(network, calibration, images[1500:1600].numpy(), logits.numpy())


class Mixed(nn.Module):
    """Depthwise convolution, residual, gate: what small backbones are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.expand = nn.Sequential(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.Hardswish())
        self.depthwise = nn.Sequential(
            nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.ReLU6()
        )
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1), nn.Sigmoid())
        self.project = nn.Sequential(nn.Conv2d(16, 8, 1), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, 1, H, W] to logits [N, 10]."""
        x = self.stem(x)
        wide = self.depthwise(self.expand(x))
        x = x + self.project(wide * self.gate(wide))
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def mixed(trained: Trained) -> Trained:
    """Random weights, statistics of real digits, answers to the same images as `trained`."""
    torch.manual_seed(0)
    network = Mixed().train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(normalise(trained.calibration, SPEC)))
        network.eval()
        logits = network(torch.from_numpy(trained.images)).numpy()
    return replace(trained, network=network, logits=logits)


@dataclass(frozen=True)
class Given:
    """A network whose batch norms are folded, scales for some of its tensors, and the answers."""

    network: nn.Module
    recipe: Recipe
    logits: npt.NDArray[np.float32]

    def off(self, answers: npt.NDArray[np.float32]) -> float:
        """Return the mean distance of logits [N, 10] from the right ones, as a share of them."""
        return float(np.abs(answers - self.logits).mean() / np.abs(self.logits).mean())


@pytest.fixture(scope="session")
def given(trained: Trained) -> Given:
    """Answers are torch's own with fake-quantized weights and activations, all else float."""
    per_channel = tuple(0.004 + 0.001 * index for index in range(8))
    tensors = {
        "image": TensorScale(scale=(0.0123,), zero_point=(-40,)),
        "backbone.conv1.weight": TensorScale(scale=per_channel, axis=0),
        "backbone.stage1.0.conv1": TensorScale(scale=(0.061,), zero_point=(5,)),
        "backbone.stage1.0.conv1.weight": TensorScale(scale=(0.007,)),
        "backbone.relu": TensorScale(scale=(0.024,), zero_point=(-128,)),
        "backbone.stage2": TensorScale(scale=(0.049,), zero_point=(-128,)),
        "backbone": TensorScale(scale=(0.027,), zero_point=(-128,)),
        "head.fc.weight": TensorScale(scale=(0.0062,)),
        "head.fc": TensorScale(scale=(0.17,), zero_point=(3,)),
    }
    return _given(trained, tensors)


@pytest.fixture(scope="session")
def symmetric(trained: Trained, given: Given) -> Given:
    """The same without zero points, as TensorRT takes them."""
    tensors = {
        name: TensorScale(
            scale=tuple((2 if how.zero_point else 1) * each for each in how.scale or ()),
            axis=how.axis,
        )
        for name, how in given.recipe.tensors.items()
    }
    return _given(trained, tensors)


def _given(trained: Trained, tensors: dict[str, TensorScale]) -> Given:
    network = copy.deepcopy(trained.network)
    fold(network)
    recipe = Recipe(weights="float32", activations="float32", per_channel=True, tensors=tensors)
    faked = copy.deepcopy(network)
    for name, how in tensors.items():
        if name.endswith("weight"):
            parameter = faked.get_parameter(name)
            parameter.data = fake(parameter.data, how)
        elif name != "image":
            faked.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, output, how=how: fake(output, how)
            )
    with torch.inference_mode():
        logits = faked(fake(torch.from_numpy(trained.images), tensors["image"])).numpy()
    return Given(network, recipe, logits)


def fake(values: Tensor, how: TensorScale) -> Tensor:
    """Return values as torch's own fake quantization leaves them."""
    ends = -(2 ** (how.bits - 1)), 2 ** (how.bits - 1) - 1
    scale = torch.tensor(how.scale)
    point = torch.tensor(how.zero_point or [0] * len(scale), dtype=torch.int32)
    if how.axis is None:
        return torch.fake_quantize_per_tensor_affine(values, scale, point, *ends)
    return torch.fake_quantize_per_channel_affine(values, scale, point, how.axis, *ends)


MakeJob = Callable[..., ExportJob]


@pytest.fixture(scope="session")
def make_job(trained: Trained) -> MakeJob:
    def make(out: Path, target: str, **changes: object) -> ExportJob:
        out.mkdir(parents=True, exist_ok=True)
        parsed = Target.parse(target)
        kind: Any = "int8" if parsed.precision == "int8" else "float32"
        recipe = changes.pop("recipe", None)
        quantized = Quantized(
            precision=parsed.precision,
            method="ptq" if kind == "int8" else "none",
            recipe=recipe or Recipe(weights=kind, activations=kind, per_channel=True),
            bundle_sha256="b" * 64,
            calibration_sha256="c" * 64 if kind == "int8" else None,
            reference_sha256="r" * 64,
        )
        bundle = Bundle(
            task={"method": "classification"},
            backbone=BACKBONE,
            head={"method": "linear"},
            classes=tuple("0123456789"),
            input=SPEC,
            parameters=1,
            macs=1,
            lineage={},
            weights_sha256="w" * 64,
        )
        fields = {
            "target": parsed,
            "quantized": quantized,
            "model": trained.network,
            "bundle": bundle,
            "outputs": LOGITS,
            "calibration": (
                CalibrationImages(trained.calibration, SPEC) if kind == "int8" else None
            ),
            "out": out,
        }
        return ExportJob(**{**fields, **changes})  # type: ignore[arg-type]

    return make


class Parted(nn.Module):
    """Two outputs by layers that 8 bits ruin: a channel that is always 0 has weights of 5000.

    The second output is a sum of parts 100 apart, of which it keeps nothing.
    """

    float_layers = ("boxes", "left", "right")

    def __init__(self) -> None:
        super().__init__()
        last = nn.Conv2d(8, 8, 1)
        self.trunk = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), last, nn.ReLU())
        self.boxes = nn.Conv2d(8, 4, 1)
        self.left = nn.Conv2d(8, 3, 1)
        self.right = nn.Conv2d(8, 3, 1)
        with torch.no_grad():
            last.weight[0] = -0.01
            cast(Tensor, last.bias)[0] = -0.5
            for each, offset in ((self.boxes, 0.0), (self.left, 100.0), (self.right, -100.0)):
                each.weight *= 10
                each.weight[:, 0] = 5000.0
                cast(Tensor, each.bias)[:] = offset

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images [N, 1, 16, 16] to [N, 4, 8, 8] and [N, 3, 8, 8]."""
        x = self.trunk(x)
        return self.boxes(x), self.left(x) + self.right(x)


class Wrapped(nn.Module):
    """A network within another, as a task deploys it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        """Map images to what the network gives."""
        return self.network(x)


PARTED = (
    TensorSpec(name="boxes", shape=(1, 4, 8, 8), layout="NCHW"),
    TensorSpec(name="scores", shape=(1, 3, 8, 8), layout="NCHW"),
)
OffBy = Callable[..., tuple[Exported, dict[str, float]]]


@pytest.fixture(scope="session")
def parted(make_job: MakeJob, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> OffBy:
    """Export `Parted` as INT8; return how far each output is from torch's, as a share of it."""
    torch.manual_seed(0)
    network = Parted().eval()
    images = trained.images[:16]
    with torch.inference_mode():
        right = [each.numpy() for each in network(torch.from_numpy(images))]

    def run(
        target: str,
        options: dict[str, object],
        layers: tuple[str, ...] = Parted.float_layers,
        function: str = "load",
        **changes: Any,
    ) -> tuple[Exported, dict[str, float]]:
        words: Any = {"weights": "int8", "activations": "int8", "per_channel": True, **changes}
        recipe = Recipe(**words, float_layers=layers)
        out = tmp_path_factory.mktemp(target)
        job = make_job(out, target, model=Wrapped(network).eval(), outputs=PARTED, recipe=recipe)
        exported: Exported = resolve("export", options, "test", "export")(job)
        runtime = {"method": job.target.runtime, "threads": 1}
        method = resolve("runtimes", runtime, "test", "runtime")
        session = getattr(method.module, function)(out, exported, params=method.params)
        answers = [session.run({"image": image[None]}) for image in images]
        session.close()
        off = {}
        for spec, expected in zip(PARTED, right, strict=True):
            found = np.concatenate([each[spec.name] for each in answers])
            spread = np.linalg.norm(expected - expected.mean(axis=0))
            off[spec.name] = float(np.linalg.norm(found - expected) / spread)
        return exported, off

    return run


Export = Callable[[str, dict[str, object]], tuple[Path, Exported]]


@pytest.fixture(scope="session")
def export(make_job: MakeJob, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export once per target and options, however many tests look at the files."""
    done: dict[str, tuple[Path, Exported]] = {}

    def run(target: str, options: dict[str, object]) -> tuple[Path, Exported]:
        key = f"{target} {sorted(options.items())}"
        if key not in done:
            out = tmp_path_factory.mktemp(target)
            exporter = resolve("export", options, "test", "export")
            done[key] = out, exporter(make_job(out, target))
        return done[key]

    return run


Answer = Callable[..., npt.NDArray[np.float32]]


@pytest.fixture(scope="session")
def answer(trained: Trained) -> Answer:
    """Run an export over the images with its runtime: its `load`, or another function."""

    def run(folder: Path, exported: Exported, function: str = "load") -> npt.NDArray[np.float32]:
        runtime = exported.target.runtime
        method = resolve("runtimes", {"method": runtime, "threads": 1}, "test", "runtime")
        session = getattr(method.module, function)(folder, exported, params=method.params)
        try:
            found = [session.run({"image": image[None]})["logits"] for image in trained.images]
            return np.concatenate(found)
        finally:
            session.close()

    return run
