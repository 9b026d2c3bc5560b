"""Shards of small real pictures, and an encoder with weights of a seed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from tests.parts import PARTS

SPEC = InputSpec(height=8, width=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
METHOD = {
    "method": "rotation", "width": 4, "epochs": 1, "batch": 64, "learning_rate": 0.05,
    "weight_decay": 0.0005, **PARTS, "augment": "none", "precision": "fp32",
}  # fmt: skip


def picture(seed: int, kind: str = "png") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((12, 12), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def bitmap(seed: int) -> bytes:
    """Return a picture whose file is as long as any other's."""
    return picture(seed, "bmp")


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Four shards of 40 images as img2dataset leaves them; image 50 is junk, 51 has no picture."""
    for shard in range(4):
        members = {}
        for number in range(shard * 40, shard * 40 + 40):
            members[f"{number:05}.json"] = b"{}"
            if number != 51:
                members[f"{number:05}.png"] = b"junk" if number == 50 else picture(number)
        write_tar(tmp_path / "tars" / f"{shard:05}.tar", members)
        (tmp_path / "tars" / f"{shard:05}.parquet").write_bytes(b"notes on the shard")
        (tmp_path / "tars" / f"{shard:05}_stats.json").write_text("{}")
    return tmp_path / "tars"


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    method = resolve("encoders", METHOD, "test", "embed")
    torch.manual_seed(0)
    network = method.module.network(method.params, SPEC)
    centre = np.full(32, 0.1, np.float32)
    NetworkEncoder(network, SPEC, 16, centre).save(tmp_path / "encoder", METHOD)
    return tmp_path / "encoder"
