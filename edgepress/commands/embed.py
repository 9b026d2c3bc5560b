"""`edgepress embed`: images, or tars or Parquet files of them, to what `edgepress curate` reads."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgepress.data.walk import LeftOut
from edgepress.encoders.at_scale.embed_job import ENCODER, EmbedJob
from edgepress.encoders.at_scale.image_shards import find
from edgepress.encoders.at_scale.numbering import numbered
from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.embedded_shard import DAMAGED, EmbeddedShard
from edgepress.records.saved_encoder import SavedEncoder
from edgepress.workers.local import Local


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGES",
        help=".tar (WebDataset) or .parquet files, or folders of them or of images")  # fmt: skip
    add("--out", type=Path, required=True, help="folder for the embeddings; a killed run goes on")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--encoder", type=Path, help="folder of a fitted encoder: data/embeddings")
    which.add_argument("--model", help="model of timm with published weights, in place of one")
    add("--side", type=int, default=224, help="pixels images are resized to for --model")
    add("--batch", type=int, default=64, help="images per forward pass of --model")
    add("--image", default="image", help="column of the images in Parquet files (default image)")
    add("--dtype", choices=["float16", "float32"], default="float16")
    add("--engine", choices=["local", "ray"], default="local")
    add("--address", help="Ray cluster to join; without it Ray runs on this machine")
    add("--workers", type=int, default=os.cpu_count() or 1, help="workers on this machine")


def run(arguments: argparse.Namespace) -> int:
    """Embed what is not embedded yet and print what there is; returns 0.

    Shards that became damaged since they were embedded are a UserError, after all others.
    """
    if arguments.workers < 1:
        raise UserError(f"--workers: {arguments.workers} is below 1")
    if arguments.engine == "local" and arguments.address is not None:
        raise UserError("--address: only --engine ray joins a cluster; add it or leave this out")
    # Workers of a cluster have working directories of their own.
    left_out = LeftOut()
    shards = find([path.resolve() for path in arguments.images], arguments.image, left_out)
    out: Path = arguments.out.resolve()
    _keep_encoder(arguments, out / ENCODER)
    job = EmbedJob(numbered(shards, out), out, arguments.dtype, arguments.image)
    pending = job.pending()
    damaged: dict[int, str] = {}
    for count, (index, damage) in enumerate(_embedded(job, pending, arguments), 1):
        if damage is not None:
            damaged[index] = damage
        if sys.stderr.isatty():
            sys.stderr.write(f"{count} of {len(pending)}: {job.shards[index].name}\n")
    if damaged:
        found = "; ".join(damaged[index] for index in sorted(damaged))
        raise UserError(
            f"{len(damaged)} of {len(shards)} shards damaged since they were embedded, the others "
            f"are done: {found}; restore them and run again (their earlier vectors stay in "
            f"{arguments.out} till then), or leave them out and name another --out"
        )
    sys.stdout.write(_summary(job, arguments.out, left_out))
    return 0


def _embedded(
    job: EmbedJob, pending: list[int], arguments: argparse.Namespace
) -> Iterator[tuple[int, str | None]]:
    """Yield (index, what `EmbedJob.attempt` says) of each pending shard as it is done."""
    if not pending:
        return
    if arguments.engine == "ray":
        from edgepress.encoders.at_scale.ray_data import embed

        yield from embed(job, pending, arguments.address, arguments.workers)
        return
    spans = [(index, index + 1) for index in pending]
    engine = Local(min(arguments.workers, len(pending)))
    for (index, _), damage in engine.results(lambda index, _: job.attempt(index), spans):
        yield index, damage


def _keep_encoder(arguments: argparse.Namespace, folder: Path) -> None:
    """Put the encoder into the output, for all workers and later runs; refuse another one."""
    if (folder / SavedEncoder.file_name).is_file():
        kept = SavedEncoder.read(folder)
        if arguments.model:
            same = kept.method == _timm(arguments)
        else:
            same = kept == SavedEncoder.read(arguments.encoder)
        if not same:
            raise UserError(f"{folder}: is another encoder; name another --out")
        return
    if arguments.model:
        method = _timm(arguments)
        loaded = resolve("encoders", method, "command line", "model")
        encoder = loaded.module.open_model(loaded.params)
    else:
        method = SavedEncoder.read(arguments.encoder).method
        encoder = NetworkEncoder.load(arguments.encoder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    encoder.save(partial, method)
    partial.replace(folder)


def _timm(arguments: argparse.Namespace) -> dict[str, Any]:
    named = {name: getattr(arguments, name) for name in ("model", "side", "batch")}
    return {"method": "timm", "pretrained": True, **named}


def _summary(job: EmbedJob, out: Path, left_out: LeftOut) -> str:
    done = [found for index in range(len(job.shards)) if (found := job.done(index)) is not None]
    aside: Counter[str] = Counter()
    for shard in done:
        aside.update(shard.quarantined)
    del aside[DAMAGED]
    rows = sum(shard.rows for shard in done)
    if not rows:
        raise UserError(f"{out}: no image of {len(done)} shards could be used; see {out}/shards")
    width = max(shard.width for shard in done)
    lines = [f"{rows:,} images of {len(done):,} shards in {out}, {width} wide, {job.dtype}"]
    if aside:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in aside.most_common())
        lines.append(f"set aside: {kinds}; named in {out}/shards/*/quarantine.parquet")
    if left_out.counts:
        lines.append(f"left out: {left_out}")
    lines += _losses(job, done)
    lines.append(f"next: edgepress curate {out} --keep 0.3 --out kept.parquet")
    return "\n".join(lines) + "\n"


def _losses(job: EmbedJob, done: list[EmbeddedShard]) -> Iterator[str]:
    """Yield a line per shard that broke off: how many images lay behind nobody knows."""
    paths = {shard.name: shard.path for shard in job.shards}
    for shard in done:
        if shard.broken:
            yield (
                f"DAMAGED: {paths[shard.shard]}: breaks off after {shard.seen:,} images; those "
                "behind are missing here and in the counts; restore it and run again"
            )
