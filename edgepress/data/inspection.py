"""Inspection: decode every image once, hash it, and say why one cannot be used."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgepress.data.phash import phash, thumbnail
from edgepress.data.picture import UnusableError, open_picture


@dataclass(frozen=True, slots=True)
class Facts:
    """What the bytes of one image say; where `reason` is not empty, most of it is None."""

    reason: str = ""
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    mode: str | None = None
    phash: int | None = None
    orientation: int = 1
    """EXIF's, 1 to 8; width and height are those of the picture turned by it."""
    format: str | None = None


def inspect(images: Sequence[bytes | UnusableError]) -> list[Facts]:
    """Return the facts of each image, in order; an error in place of bytes gives the reason."""
    facts, thumbnails = [], []
    for data in images:
        found, image = look(data)
        facts.append(found)
        thumbnails.append(None if image is None else thumbnail(image))
    return hashed(facts, thumbnails)


def look(data: bytes | UnusableError) -> tuple[Facts, Image.Image | None]:
    """Return the facts of one image but for its hash of looks, and the picture if there is one."""
    if isinstance(data, UnusableError):
        return Facts(reason=str(data)), None
    digest = hashlib.sha256(data).hexdigest()
    try:
        picture = open_picture(data)
    except UnusableError as error:
        return Facts(reason=str(error), sha256=digest), None
    image = picture.image
    channels = 1 if image.mode == "L" else 3
    found = Facts("", digest, image.width, image.height, channels, picture.mode)
    return replace(found, orientation=picture.orientation, format=picture.format), image


def hashed(
    facts: Sequence[Facts], thumbnails: Sequence[npt.NDArray[np.uint8] | None]
) -> list[Facts]:
    """Return the facts with the hashes of their thumbnails, where they have one."""
    there = [each for each in thumbnails if each is not None]
    if not there:
        return list(facts)
    hashes = iter(phash(np.stack(there)).tolist())
    return [
        fact if each is None else replace(fact, phash=next(hashes))
        for fact, each in zip(facts, thumbnails, strict=True)
    ]
