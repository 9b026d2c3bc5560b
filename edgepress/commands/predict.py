"""`edgepress predict`: what an export says of pictures, in words, as JSON, and drawn."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image

from edgepress.commands._exports import EXPORTED, export
from edgepress.commands._outputs import refuse_unwritable
from edgepress.data.walk import LeftOut, images, printable
from edgepress.errors import UserError
from edgepress.prediction.answered import Answered
from edgepress.prediction.boxes import Boxes
from edgepress.prediction.predictor import Predictor
from edgepress.records.exported import Exported
from edgepress.records.record import write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("target", metavar="TARGET",
        help=f"key of a folder of {EXPORTED}/, such as x86_64-onnxruntime-int8, or an export's "
        "folder")  # fmt: skip
    add("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of them")
    add("--json", type=Path, metavar="FILE", help="write all answers, places in pixels")
    add("--draw", type=Path, metavar="DIR", help="write pictures with the answers over them")
    add("--boxes", type=Path, metavar="FILE",
        help="objects to look at: --json of a detector, of the same pictures")  # fmt: skip
    add("--threads", type=int, default=1, help="threads of the runtime (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Answer every picture there is; returns 2 after all of them if any had no answer."""
    if arguments.threads < 1:
        raise UserError(f"--threads: {arguments.threads} is below 1")
    _refuse_places(arguments)
    folder = export(arguments.target)
    boxes = None if arguments.boxes is None else Boxes.read(arguments.boxes)
    left_out = LeftOut()
    pictures = list(_pictures(arguments.images, left_out))
    if not pictures:
        said = f"; left out: {left_out}" if left_out.counts else ""
        raise UserError(f"{arguments.images[0]}: holds no picture{said}")
    predictor = Predictor.open(folder, arguments.threads)
    predictor.refuse(boxes=boxes is not None)
    if predictor.stands_in:
        sys.stderr.write(f"{predictor.exported.target}: {predictor.stands_in}; its graph answers\n")
    with closing(predictor.session):
        answers = [_answer(path, predictor, boxes, arguments.draw) for path in pictures]
    if arguments.json is not None:
        write_atomically(arguments.json, json.dumps(_record(predictor.exported, answers)) + "\n")
    bad = sum("error" in each for each in answers)
    if bad or len(answers) > 1 or left_out.counts:
        aside = f"; left out: {left_out}" if left_out.counts else ""
        sys.stdout.write(f"{len(answers) - bad:,} answered, {bad:,} not{aside}\n")
    return 2 if bad else 0


def _answer(
    path: Path, predictor: Predictor, boxes: Boxes | None, draw: Path | None
) -> dict[str, Any]:
    """Answer one picture, say so and draw it; what is wrong with it is told as its answer."""
    try:
        found = Answered.file(path, predictor, None if boxes is None else boxes.of(path))
        told = found.told()
    except UserError as error:
        sys.stderr.write(f"{printable(str(path))}: {error}\n")
        return {"image": str(path), "error": str(error)}
    sys.stdout.write(f"{printable(str(path))}: {found.words()}\n")
    if draw is not None:
        _save(found.drawn(), draw, path.name)
    return {"image": str(path), **told}


def _save(image: Image.Image, folder: Path, name: str) -> None:
    """Write a drawing under a name that is free: pictures of two folders may have the same."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (place := folder / f"{name}{f'-{number}' if number > 1 else ''}.png").exists():
        number += 1
    partial = place.with_name(f".{place.name}.partial")
    image.save(partial, "PNG")
    partial.replace(place)


def _record(exported: Exported, answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "target": str(exported.target),
        "bundle_sha256": exported.bundle_sha256,
        "classes": exported.classes,
        "answers": answers,
    }


def _pictures(given: list[Path], left_out: LeftOut) -> Iterator[Path]:
    """Yield pictures and those of folders; a name that is not there is for the reader to refuse."""
    for path in given:
        if path.is_dir():
            yield from images(path, left_out)
        else:
            yield path


def _refuse_places(arguments: argparse.Namespace) -> None:
    """Refuse outputs that cannot be before any work."""
    if arguments.json is not None:
        refuse_unwritable("--json", arguments.json)
    draw: Path | None = arguments.draw
    if draw is None:
        return
    if draw.exists() and not (draw.is_dir() and not any(draw.iterdir())):
        raise UserError(f"--draw {draw}: is there already; name a folder that is new or empty")
    if not draw.parent.is_dir():
        raise UserError(f"--draw {draw}: {draw.parent} is no folder; make it first")
