"""Images to embeddings: a worker against a bare loop, two workers against one, Ray against none.

Run: python benchmarks/embedding.py [--images 8000 --rounds 3]
Every round times each way once, so that a busy machine slows all of them; ratios are medians of
the rounds. The bare loop decodes and encodes on one thread and writes nothing.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from edgepress.data.preprocess import decode
from edgepress.encoders.at_scale import ray_data
from edgepress.encoders.at_scale.embed_job import ENCODER, EmbedJob
from edgepress.encoders.at_scale.image_shards import find
from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.workers.local import Local

SHARDS = 8
SPEC = InputSpec(height=32, width=32, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
ENCODER_METHOD = {
    "method": "rotation", "width": 32, "epochs": 1, "batch": 64, "learning_rate": 0.05,
    "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "schedule": {"method": "one_cycle", "warmup": 0.15},
    "weight_decay": 0.0005, "augment": "none", "precision": "fp32",
}  # fmt: skip


def make_shards(folder: Path, images: int) -> Path:
    """Write tars of JPEG pictures, 64 x 64 pixels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for number in range(images // SHARDS):
                noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                file = io.BytesIO()
                Image.fromarray(noise).resize((64, 64)).save(file, "jpeg")
                info = tarfile.TarInfo(f"{number:06}.jpg")
                info.size = file.tell()
                file.seek(0)
                tar.addfile(info, file)
    return folder


def new_job(shards: Path, out: Path) -> EmbedJob:
    """Return a job on an empty output."""
    method = resolve("encoders", ENCODER_METHOD, "benchmark", "encoder")
    torch.manual_seed(0)
    network = method.module.network(method.params, SPEC)
    NetworkEncoder(network, SPEC, 256).save(out / ENCODER, ENCODER_METHOD)
    return EmbedJob(find([shards], "image"), out, "float16", "image")


def bare(job: EmbedJob) -> None:
    """Read, decode and encode in one thread, with nothing around it."""
    torch.set_num_threads(1)
    encoder = NetworkEncoder.load(job.out / ENCODER)
    for shard in job.shards:
        with tarfile.open(shard.path) as tar:
            data = [file.read() for member in tar if (file := tar.extractfile(member))]
        for start in range(0, len(data), encoder.batch):
            pixels = [decode(image, SPEC) for image in data[start : start + encoder.batch]]
            encoder.vectors(np.stack(pixels))


def local(workers: int) -> Callable[[EmbedJob], None]:
    """Return the run of a job on threads of this process."""

    def run(job: EmbedJob) -> None:
        spans = [(index, index + 1) for index in job.pending()]
        for _ in Local(workers).results(lambda index, _: job.embed(index), spans):
            pass

    return run


def on_ray(job: EmbedJob) -> None:
    """Run the job on two Ray workers of this machine, start of Ray included."""
    for _ in ray_data.embed(job, job.pending(), None, 2):
        pass


WAYS: dict[str, Callable[[EmbedJob], None]] = {
    "bare loop": bare, "1 worker": local(1), "2 workers": local(2), "2 Ray workers": on_ray,
}  # fmt: skip


def main() -> None:
    """Print seconds, images a second and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as name:
        shards = make_shards(Path(name) / "images", arguments.images)
        for number in range(arguments.rounds):
            for way, run in WAYS.items():
                job = new_job(shards, Path(name) / f"{way}-{number}")
                began = time.perf_counter()
                run(job)
                seconds[way].append(time.perf_counter() - began)
    for way, found in seconds.items():
        middle = statistics.median(found)
        print(f"{way}: {middle:.1f} s, {arguments.images / middle:.0f} images a second")
    for way, base in (
        ("1 worker", "bare loop"),
        ("2 workers", "1 worker"),
        ("2 Ray workers", "1 worker"),
    ):
        ratios = [b / a for a, b in zip(seconds[way], seconds[base], strict=True)]
        listed = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
        print(f"{way} over {base}: {statistics.median(ratios):.2f} ({listed})")


if __name__ == "__main__":
    main()
