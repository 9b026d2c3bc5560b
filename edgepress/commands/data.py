"""`edgepress data convert`: write a source of objects in the format of other tools."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from edgepress.commands.preset import PRESETS, find
from edgepress.data.listing import Listing
from edgepress.data.writers import coco, yolo
from edgepress.data.writers.drawn import drawn
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.params import lookup, read_yaml

_FORMATS = {
    "coco": "{{method: coco, path: {out}, annotations: null}}",
    "yolo": "{{method: yolo, path: {out}, description: null}}",
}
"""Format -> the entry that reads it again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="convert")
    add = verbs.add_parser("convert", help="write a source of objects as COCO or YOLO").add_argument
    add("source", metavar="SOURCE", help="parameter file with ingest.source (params.yaml), or the "
        f"name of a preset of {PRESETS}/")  # fmt: skip
    add("out", type=Path, metavar="OUT", help="folder to write; one that is there is refused")
    add("--to", required=True, choices=list(_FORMATS), help="format to write")
    add("--images", choices=["link", "copy"], default="copy",
        help="link to your files in place of copying them (default %(default)s)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write the set whole or not at all, and say what was left out; returns 0."""
    where, raw = _entry(arguments.source)
    source = resolve("data.sources", raw, where, "ingest.source")
    out: Path = arguments.out
    _refuse(out, raw.get("path"))
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    aside: Counter[str] = Counter()
    partial.mkdir()
    try:
        with tempfile.TemporaryDirectory(dir=partial) as scratch:
            listing = source(Path(scratch))
            counts = _write(listing, Path(scratch), partial, arguments, aside)
        if not counts["pictures"]:
            raise UserError(f"{listing.where}: no picture can be used{_said(': ', aside)}")
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sys.stdout.write(_summary(listing, counts, aside))
    sys.stdout.write(f"next: ingest.source: {_FORMATS[arguments.to].format(out=out)}\n")
    return 0


def _entry(name: str) -> tuple[str, Any]:
    """Return the file that was meant and its entry ingest.source."""
    path = Path(name)
    if not path.is_file() and path.suffix not in (".yaml", ".yml"):
        path = find(PRESETS, name)
    return str(path), lookup(read_yaml(path), "ingest.source", str(path))


def _refuse(out: Path, source: Any) -> None:
    """Refuse a place that is taken, that cannot be, or that the source would read as its own."""
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: is there already; name another place or remove it")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder; make it first")
    if isinstance(source, str) and out.resolve().is_relative_to(Path(source).resolve()):
        raise UserError(f"{out}: lies in the source, {source}; name a place outside of it")


def _write(
    listing: Listing,
    scratch: Path,
    out: Path,
    arguments: argparse.Namespace,
    aside: Counter[str],
) -> Counter[str]:
    pictures = drawn(listing, scratch, aside)
    if arguments.to == "coco":
        return coco.write(pictures, out, listing.classes, arguments.images)
    points = yolo.points_of_each(listing)
    return yolo.write(pictures, out, listing.classes, arguments.images, points)


def _summary(listing: Listing, counts: Counter[str], aside: Counter[str]) -> str:
    lost = +Counter({key: n for key, n in counts.items() if key not in ("pictures", "objects")})
    lines = [
        f"{counts['pictures']:,} pictures with {counts['objects']:,} objects of "
        f"{len(listing.classes)} classes",
        _said("set aside: ", aside),
        f"left out: {listing.left_out}" if listing.left_out.counts else "",
        _said("without a place in the format: ", lost),
    ]
    return "".join(f"{line}\n" for line in lines if line)


def _said(title: str, counts: Counter[str]) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    return f"{title}{kinds}" if kinds else ""
