"""Inspection: decode every image once, hash it, and say why one cannot be used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

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


def inspect(images: list[bytes | UnusableError]) -> list[Facts]:
    """Return the facts of each image, in order; an error in place of bytes gives the reason."""
    facts: list[Facts] = []
    thumbnails = []
    for data in images:
        if isinstance(data, UnusableError):
            facts.append(Facts(reason=str(data)))
            continue
        digest = hashlib.sha256(data).hexdigest()
        try:
            picture = open_picture(data)
        except UnusableError as error:
            facts.append(Facts(reason=str(error), sha256=digest))
            continue
        image = picture.image
        thumbnails.append(thumbnail(image))
        channels = 1 if image.mode == "L" else 3
        found = Facts("", digest, image.width, image.height, channels, picture.mode)
        facts.append(replace(found, orientation=picture.orientation, format=picture.format))
    if not thumbnails:
        return facts
    hashes = iter(phash(np.stack(thumbnails)).tolist())
    return [fact if fact.reason else replace(fact, phash=next(hashes)) for fact in facts]
