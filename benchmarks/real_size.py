"""Real size: a training on many images of 224 pixels, killed at a random step, ends the same.

Every image is a JPEG file of its own: a few hundred pictures, each copy with its own comment. The
stages ingest, embed (none), curate (none) and train run as `make run` starts them, in a folder of
their own; the network is two strided convolutions, so that loading is what takes time. One run is
left alone. Then, streamed and from the memory map, with each number of threads, a run is killed
(SIGKILL) at a step drawn at random and run again: its weights must be the same bytes, and no
process may hold more memory than `--memory` (without pages of files, which the kernel takes back
at need). Needs 20 kB an image on the disk, and with the map 150 kB more, below `--folder`.
Run: python benchmarks/real_size.py [--images 100000] [--threads 1 2 4] [--cache none memory_map]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from edgepress.commands.preset import merge
from edgepress.records.bundle import WEIGHTS

SIDE, CLASSES, PICTURES = 224, 4, 400
ROOT = Path(__file__).parents[1]
TEACHER = Path("models/teacher", WEIGHTS)
NETWORK = """
from torch import nn

def small():
    layers = [nn.Conv2d(3, 16, 16, 16), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2)]
    layers += [nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers)
"""
PARAMS = {
    "ingest": {"source": {"method": "folder", "path": "pictures"}},
    "input": {
        "height": SIDE,
        "width": SIDE,
        "channels": 3,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    },
    "check": {"min_per_class": {"train": 1, "val": 1, "test": 1}},
    "embed": {"method": "none"},
    "curate": {"method": "none"},
    "train": {
        "backbone": {"method": "module", "entry": "net:small", "arguments": {}},
        "recipe": {"epochs": 1, "learning_rate": 0.05, "augment": "flip_shift"},
    },
    "quantize": {"int8": {"images": 8}},
}


@dataclass(frozen=True)
class Ran:
    """What one process of a stage left behind."""

    code: int
    said: str
    seconds: float
    own_mb: float
    """Most memory at a time that is the process's own."""
    all_mb: float
    """The same with the pages of files that are mapped."""


def pictures(folder: Path, images: int) -> None:
    """Write so many images for train, and a fiftieth of that for val and test each."""
    rng = np.random.default_rng(0)
    encoded = []
    for row in range(PICTURES):
        coarse = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        coarse[..., row % CLASSES % 3] //= 1 + row % CLASSES
        fine = rng.integers(-9, 10, (SIDE, SIDE, 3))
        picture = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE)), np.int64) + fine
        out = io.BytesIO()
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
        encoded.append(out.getvalue())
    for split, count in (("train", images), ("val", images // 50), ("test", images // 50)):
        for row in range(max(count, 4 * CLASSES)):
            path = folder / split / str(row % CLASSES) / f"{row // 1000:03}" / f"{row:07}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(commented(encoded[row % PICTURES], f"{split} {row:07}".encode()))


def commented(jpeg: bytes, text: bytes) -> bytes:
    """Return a JPEG with a comment, so that no two files are copies of each other."""
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def started(folder: Path, words: list[str], **environment: str) -> Ran:
    """Run a process in the folder to its end, watching its memory."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            stderr=said,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        )
        own = whole = 0
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                memory = watched.memory_info()
            except psutil.NoSuchProcess:
                break
            own, whole = max(own, memory.rss - memory.shared), max(whole, memory.rss)
            time.sleep(0.1)
        code = process.wait()
        said.seek(0)
        return Ran(code, said.read(), time.monotonic() - began, own / 1e6, whole / 1e6)


def stage(folder: Path, name: str) -> Ran:
    """Run a stage; one that fails ends the benchmark with what it said."""
    ran = started(folder, ["-m", f"stages.{name}"])
    if ran.code:
        sys.exit(ran.said)
    print(f"{name}: {ran.seconds:.0f} s, {ran.own_mb:.0f} MB", flush=True)
    return ran


def training(folder: Path, given: argparse.Namespace, cache: str, threads: int, kill: int) -> Ran:
    """Run the stage train, killed when it has come to a step; 0 lets it come to its end."""
    words = [__file__, "--kill", str(kill), "--checkpoints", str(given.checkpoints)]
    environment = {"EDGEPRESS_CACHE": cache, "EDGEPRESS_THREADS": str(threads)}
    ran = started(folder, words, **environment)
    if ran.code != (-signal.SIGKILL if kill else 0):
        sys.exit(f"{ran.said}\nended with {ran.code}")
    if ran.own_mb > given.memory:
        sys.exit(f"{ran.own_mb:.0f} MB were held, at most {given.memory} are to be")
    return ran


def train(kill: int, checkpoints: float) -> None:
    """Be the stage train, and kill this process once it has done so many steps."""
    from edgepress.training import loop
    from stages import progress
    from stages import train as trained
    from stages.stage import main

    def killing(lines: object, what: str, done: int, *rest: object) -> None:  # noqa: ARG001
        if what == "training" and done == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    loop.SECONDS_BETWEEN_CHECKPOINTS, loop.SHARE_OF_CHECKPOINTS = checkpoints, 1e9
    progress.Lines.__call__ = killing  # type: ignore[method-assign, assignment]
    sys.argv[1:] = []
    main("train", trained.work)


def digest(folder: Path) -> str:
    """Return the sha256 of the weights that a training wrote."""
    return hashlib.sha256((folder / TEACHER).read_bytes()).hexdigest()


def undisturbed(folder: Path, given: argparse.Namespace) -> str:
    """Train without a break, streamed; return the sha256 of the weights."""
    whole = training(folder, given, "none", given.threads[0], 0)
    print(
        f"undisturbed, streamed, {given.threads[0]} thread(s): {whole.seconds:.0f} s, "
        f"{whole.own_mb:.0f} MB; weights {digest(folder)[:12]}",
        flush=True,
    )
    return digest(folder)


def resumed(folder: Path, given: argparse.Namespace, cache: str, threads: int) -> str:
    """Kill a training at a random step, run it again, and return the sha256 of the weights."""
    (folder / TEACHER).unlink()
    steps = given.images // given.batch
    at = random.SystemRandom().randrange(max(2, steps // 4), steps)
    killed = training(folder, given, cache, threads, at)
    if (folder / TEACHER).exists():
        sys.exit("a killed run left weights behind")
    again = training(folder, given, cache, threads, 0)
    found = re.search(r"resumed at step ([\d,]+)", again.said)
    own, whole = max(killed.own_mb, again.own_mb), max(killed.all_mb, again.all_mb)
    print(
        f"{cache}, {threads} thread(s): killed at step {at:,} of {steps:,}, resumed at "
        f"{found[1] if found else 0}, {killed.seconds:.0f} s + {again.seconds:.0f} s, "
        f"{own:.0f} MB ({whole:.0f} with pages of files)",
        flush=True,
    )
    return digest(folder)


def main() -> None:
    """Make the images, run the stages before the training, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--cache", nargs="+", default=["none", "memory_map"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--memory", type=int, default=1000, help="MB that a training may hold")
    parser.add_argument("--checkpoints", type=float, default=15.0, help="seconds between two")
    parser.add_argument("--folder", type=Path, help="where to work, on a disk with room")
    parser.add_argument("--kill", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.kill is not None:
        train(given.kill, given.checkpoints)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        folder = Path(scratch)
        text = merge((ROOT / "params.yaml").read_text(), PARAMS, "benchmark")
        text = merge(text, {"train": {"recipe": {"batch": given.batch}}}, "benchmark")
        (folder / "params.yaml").write_text(text)
        (folder / "net.py").write_text(NETWORK)
        pictures(folder / "pictures", given.images)
        for name in ("ingest", "embed", "curate"):
            stage(folder, name)
        expected = undisturbed(folder, given)
        for cache, threads in itertools.product(given.cache, given.threads):
            if resumed(folder, given, cache, threads) != expected:
                sys.exit("other weights than the undisturbed run's")
            print("  the same bytes", flush=True)


if __name__ == "__main__":
    main()
