"""A very small network with random weights, exported once per target to try runtimes on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import ExportJob
from edgepress.methods import resolve
from edgepress.records.bundle import Bundle
from edgepress.records.exported import Exported, ExportedFile
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import Quantized, Recipe
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec
from edgepress.runtimes.session import Session

SPEC = InputSpec(height=8, width=10, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.fixture(scope="session")
def small_network() -> nn.Module:
    """A network of 8 x 10 px RGB images, so that a wrong axis order shows."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(160, 5)
    ).eval()


@pytest.fixture(scope="session")
def images() -> npt.NDArray[np.float32]:
    """Inputs in the range of preprocessed images, float32 [32, 3, 8, 10]."""
    return np.random.default_rng(0).uniform(-2, 2, (32, 3, 8, 10)).astype(np.float32)


SmallExport = Callable[..., tuple[Path, Exported]]


@pytest.fixture(scope="session")
def small_export(
    small_network: nn.Module,
    images: npt.NDArray[np.float32],
    tmp_path_factory: pytest.TempPathFactory,
) -> SmallExport:
    """Export the network for a target key, once per session."""
    done: dict[str, tuple[Path, Exported]] = {}

    def run(key: str, **options: object) -> tuple[Path, Exported]:
        if key not in done:
            job = _job(key, small_network, images, tmp_path_factory.mktemp(key))
            done[key] = job.out, resolve("export", options, "test", "export")(job)
        return done[key]

    return run


def _job(key: str, network: nn.Module, images: npt.NDArray[np.float32], out: Path) -> ExportJob:
    target = Target.parse(key)
    kind: Any = "int8" if target.precision == "int8" else "float32"
    quantized = Quantized(
        precision=target.precision,
        method="ptq",
        recipe=Recipe(weights=kind, activations=kind, per_channel=True),
        bundle_sha256="b" * 64,
        calibration_sha256="c" * 64,
        reference_sha256="r" * 64,
    )
    bundle = Bundle(
        task={"method": "classification"},
        backbone={},
        head={},
        classes=tuple("abcde"),
        input=SPEC,
        parameters=1,
        macs=1,
        lineage={},
        weights_sha256="w" * 64,
    )
    pixels = np.clip(np.round((images * 0.25 + 0.5) * 255), 0, 255).astype(np.uint8)
    calibration = CalibrationImages(pixels.transpose(0, 2, 3, 1), SPEC)
    outputs = (TensorSpec(name="logits", shape=(1, 5), layout="NC"),)
    return ExportJob(target, quantized, network, bundle, outputs, calibration, out)


@dataclass(frozen=True)
class One:
    """A session of one input and one output, run on plain arrays."""

    session: Session

    def run(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self.session.run({"image": image})["logits"]

    def close(self) -> None:
        self.session.close()


Load = Callable[..., One]


@pytest.fixture(scope="session")
def load_session() -> Load:
    """Open an export in its runtime through `load`, or another function of the runtime's module."""

    def run(folder: Path, exported: Exported, function: str = "load") -> One:
        raw = {"method": exported.target.runtime, "threads": 1}
        method = resolve("runtimes", raw, "test", "runtime")
        session: Session = getattr(method.module, function)(folder, exported, params=method.params)
        return One(session)

    return run


Forge = Callable[..., tuple[Path, Exported]]


@pytest.fixture
def forged(tmp_path: Path) -> Forge:
    """Copy an export, replace one file's bytes and write the record as if it had always been so."""

    def run(folder: Path, exported: Exported, path: str, data: bytes) -> tuple[Path, Exported]:
        copy = tmp_path / "forged"
        shutil.copytree(folder, copy)
        (copy / path).write_bytes(data)
        changed = ExportedFile(path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        files = tuple(changed if file.path == path else file for file in exported.files)
        return copy, exported.model_copy(update={"files": files})

    return run


Reshape = Callable[..., Exported]


@pytest.fixture(scope="session")
def reshaped() -> Reshape:
    """Write an export's record as if its one input had another shape or name."""

    def run(exported: Exported, **changes: object) -> Exported:
        (port,) = exported.part.inputs
        tensor = port.tensor.model_copy(update=changes)
        part = exported.part.model_copy(
            update={"inputs": (port.model_copy(update={"tensor": tensor}),)}
        )
        return exported.model_copy(update={"parts": (part,)})

    return run
