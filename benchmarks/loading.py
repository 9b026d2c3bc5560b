"""Loading: JPEGs to batches, streamed, mapped, by DataLoader and by webdataset; memory by rows.

400-pixel photographs are made of noise on a coarse grid, with the bytes of real ones (about 40 kB);
batches of 64 at 224 pixels in random order. DataLoader has as many worker processes as there are
cores, decodes by Pillow and resizes by Pillow's own filter, as ours: its batches are compared with
ours before anything is timed. The same pictures are read from tar shards, by ours in any order and
by webdataset in its own (shards in turn, a buffer of 1,000 shuffled, as many workers as cores), and
from Parquet in row groups of 32, of which an eighth of all may be held. Every round times each way
once; ratios are medians over rounds.
`--memory` opens manifests of many rows (which lead to the same files) and takes the first batches
in fresh processes: peak memory and seconds to the first batch.
Run: python benchmarks/loading.py [--images 1024 --rounds 5] [--memory 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from edgepress.data import row_groups
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.memory_map import mapped
from edgepress.data.splits import Fractions
from edgepress.data.table import read_table, writing
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import Manifest
from edgepress.records.record import sha256_file
from edgepress.tasks.task import Task
from edgepress.training import windows
from edgepress.training.examples import Examples
from edgepress.training.streamed import Streamed

SIDE, BATCH, CLASSES = 400, 64, 4
SPEC = InputSpec(height=224, width=224, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
SHARDS, GROUP = 4, 8192
Way = Callable[[np.ndarray], Iterator[Any]]
ENTRY: dict[str, Any] = {"method": "classification"}


def make(folder: Path, images: int) -> None:
    """Write pictures into a folder for each class."""
    rng = np.random.default_rng(0)
    for row in range(images):
        path = folder / str(row % CLASSES) / f"{row:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        fine = rng.integers(-12, 13, (SIDE, SIDE, 3))
        picture = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE)), np.int64) + fine
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def ingested(source: dict[str, Any], out: Path) -> ImageSet:
    """Write the manifest of a source and open all images."""
    out.mkdir(parents=True)
    listing = resolve("data.sources", source, "b", "s")(out)
    task = Task.open(ENTRY, listing.classes, "benchmark")
    rules = Rules(split=Fractions(val=0.1, test=0.1), limit=None)
    build_manifest(listing, out, rules, Labelling(task.entry, task.labels))
    return ImageSet.open(out)


def folder_of(scratch: Path) -> dict[str, Any]:
    """Return the source of the pictures as files."""
    return {"method": "folder", "path": str(scratch / "pictures")}


def packed(paths: list[str], labels: list[int], scratch: Path) -> dict[str, ImageSet]:
    """Write the pictures into four tar shards and four Parquet files, and open both."""
    for number in range(SHARDS):
        (scratch / "tar").mkdir(exist_ok=True)
        (scratch / "parquet").mkdir(exist_ok=True)
        rows = range(number, len(paths), SHARDS)
        with tarfile.open(scratch / "tar" / f"{number}.tar", "w") as shard:
            for row in rows:
                for suffix, data in (
                    ("jpg", Path(paths[row]).read_bytes()),
                    ("cls", str(labels[row]).encode()),
                ):
                    info = tarfile.TarInfo(f"{row:06}.{suffix}")
                    info.size = len(data)
                    shard.addfile(info, io.BytesIO(data))
        images = [Path(paths[row]).read_bytes() for row in rows]
        table = pa.table({"image": images, "label": [labels[row] for row in rows]})
        pq.write_table(table, scratch / "parquet" / f"{number}.parquet", row_group_size=32)
    tar = {"method": "webdataset", "path": str(scratch / "tar"), "label": "cls"}
    columns = {"image": "image", "label": "label"}
    parquet = {"method": "parquet", "path": str(scratch / "parquet"), **columns}
    sources = {"tar": tar, "parquet": parquet}
    return {name: ingested(each, scratch / f"of_{name}") for name, each in sources.items()}


def prepared(data: bytes) -> np.ndarray:
    """Decode and resize as `Files` does."""
    size = (SPEC.width, SPEC.height)
    image = Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BILINEAR)
    return np.array(image)


def by_webdataset(folder: Path) -> Iterator[Any]:
    """Yield webdataset's batches of an epoch over the shards of a folder."""
    import webdataset

    shards = sorted(str(path) for path in folder.glob("*.tar"))
    made = webdataset.WebDataset(shards, shardshuffle=SHARDS, empty_check=False).shuffle(1000)
    made = made.to_tuple("jpg", "cls").map_tuple(prepared, int).batched(BATCH, partial=False)
    workers = min(SHARDS, len(os.sched_getaffinity(0)))
    return iter(webdataset.WebLoader(made, batch_size=None, num_workers=workers, prefetch_factor=4))


def streamed(images: ImageSet) -> Streamed:
    """Return the images read anew in every epoch."""
    return Streamed(images, Task.open(ENTRY, images.classes, "b").labels, SPEC, "")


def in_windows(images: ImageSet, rows: np.ndarray) -> Iterator[Any]:
    """Yield the batches of an epoch over rows of Parquet, in windows of an eighth of them."""
    stored = images.stored()
    assert stored is not None
    row_groups.HELD = windows.HELD = int(stored.sizes.sum()) // 8
    order = windows.windowed(rows.reshape(-1), stored, [0, 0])
    return streamed(images).batches(order.reshape(rows.shape))


class Files(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """What a person would give to DataLoader."""

    def __init__(self, paths: list[str], labels: list[int]) -> None:
        """Keep paths and labels."""
        self.paths, self.labels = paths, labels

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        """Decode and resize one image, uint8 [H, W, C]."""
        size = (SPEC.width, SPEC.height)
        image = Image.open(self.paths[row]).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)), self.labels[row]


def order(images: int, seed: int) -> np.ndarray:
    """Return an epoch's batches of rows."""
    whole = np.random.default_rng(seed).permutation(images)
    return whole[: images // BATCH * BATCH].reshape(-1, BATCH)


def loader(files: Files, rows: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield DataLoader's batches in this order, from as many workers as there are cores."""
    made = torch.utils.data.DataLoader(
        files,
        batch_sampler=rows.tolist(),
        num_workers=len(os.sched_getaffinity(0)),
        prefetch_factor=4,
    )
    return iter(made)


def speed(given: argparse.Namespace, scratch: Path) -> None:
    """Print images a second of each way."""
    make(scratch / "pictures", given.images)
    images = ingested(folder_of(scratch), scratch / "manifest")
    files = Files([str(scratch / "pictures" / name) for name in images.ids], images.labels)
    stream = streamed(images)

    def rows_from(start: int) -> Iterator[dict[str, Any]]:
        for image, label in zip(images.decoded(SPEC), images.labels, strict=True):
            yield {"pixels": image, "label": np.int64(label)}

    began = time.perf_counter()
    found = mapped(scratch / "decoded" / "train-a", len(images), rows_from)
    made = time.perf_counter() - began
    examples = Examples(found["pixels"], {"label": found["label"]}, SPEC)
    some = order(len(images), 99)[:2]
    for (ours, truth), (theirs, labels) in zip(
        stream.batches(some), loader(files, some), strict=True
    ):
        assert torch.equal(ours, theirs.permute(0, 3, 1, 2))
        assert torch.equal(truth["label"], labels)
    others = packed(files.paths, files.labels, scratch)
    ways: dict[str, Way] = {
        "DataLoader": lambda rows: loader(files, rows),
        "streamed": stream.batches,
        "memory map": examples.batches,
        "streamed, tar": streamed(others["tar"]).batches,
        "webdataset, tar": lambda rows: by_webdataset(scratch / "tar"),
        "streamed, Parquet": lambda rows: in_windows(others["parquet"], rows),
    }
    compare(ways, len(images), given.rounds)
    size = sum(Path(path).stat().st_size for path in files.paths) / len(files)
    print(f"{len(images)} files of {size / 1000:.0f} kB; map made at {len(images) / made:.0f}/s")


def compare(ways: dict[str, Way], images: int, rounds: int) -> None:
    """Time every way in turns; print images a second and their ratio to DataLoader's."""
    found_s: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds):
        for name, way in ways.items():
            rows = order(images, round_)
            began = time.perf_counter()
            seen = sum(len(batch[0]) for batch in way(rows))
            found_s[name].append(seen / (time.perf_counter() - began))
    for name, values in found_s.items():
        ratios = [ours / theirs for ours, theirs in zip(values, found_s["DataLoader"], strict=True)]
        print(
            f"{name:<17} {statistics.median(values):8.0f} images/s "
            f"({min(values):.0f} to {max(values):.0f}), {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) of DataLoader's"
        )


def repeated(manifest: Path, out: Path, rows: int) -> None:
    """Write a manifest of so many rows that lead to the images of another."""
    out.mkdir(parents=True)
    table = read_table(manifest)
    table = table.filter(pa.array([each == "ok" for each in table["status"].to_pylist()]))
    table = pa.concat_tables([table] * -(-GROUP // len(table))).slice(0, GROUP)
    written = 0
    with writing(out, table.schema.field("label").type) as writer:
        while written < rows:
            some = table.slice(0, min(len(table), rows - written))
            names = [f"{written + row:09}" for row in range(len(some))]
            some = some.set_column(0, "id", pa.array(names))
            some = some.set_column(6, "split", pa.array(["train"] * len(some)))
            writer.add_table(some)
            written += len(some)
    record = Manifest.read(manifest)
    counts = {"train": rows, "val": 0, "test": 0}
    record.model_copy(
        update={
            "items": counts,
            "counts": {
                split: dict.fromkeys(record.classes, n // CLASSES) for split, n in counts.items()
            },
            "table_sha256": sha256_file(out / "manifest.parquet"),
        }
    ).write(out)


def memory(given: argparse.Namespace, scratch: Path) -> None:
    """Print peak memory and seconds to the first batch of manifests of more and more rows."""
    make(scratch / "pictures", 256)
    ingested(folder_of(scratch), scratch / "manifest")
    for rows in given.memory:
        out = scratch / f"rows_{rows}"
        repeated(scratch / "manifest", out, rows)
        done = subprocess.run(
            [sys.executable, __file__, "--first", str(out)],
            capture_output=True,
            text=True,
            check=True,
        )
        told = json.loads(done.stdout)
        print(
            f"{rows:>9} rows: {told['peak_mb']:.0f} MB, first batch after {told['first_s']:.1f} s"
        )


def first(folder: Path) -> None:
    """Open a manifest and take twenty batches; say what it took."""
    began = time.perf_counter()
    images = ImageSet.open(folder, "train")
    rows = order(len(images), 0)[:20]
    batches = streamed(images).batches(rows)
    next(batches)
    took = time.perf_counter() - began
    for _ in batches:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"peak_mb": peak, "first_s": took}))


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, nargs="+", default=[])
    parser.add_argument("--first", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.first:
        first(given.first)
        return
    with tempfile.TemporaryDirectory() as scratch:
        if given.memory:
            memory(given, Path(scratch))
        else:
            speed(given, Path(scratch))


if __name__ == "__main__":
    main()
