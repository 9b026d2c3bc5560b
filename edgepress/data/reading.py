"""Reading: the encoded images of a listing one after another, or why one cannot be had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgepress.data.groups import Named
from edgepress.data.listing import Listing
from edgepress.data.picture import UnusableError
from edgepress.data.storage import Storage

Encoded = tuple[Named, bytes | UnusableError]


def encoded(images: Iterable[Named], listing: Listing, folder: Path) -> Iterator[Encoded]:
    """Yield images of the listing with their bytes; `folder` is the run's own, for those inside."""
    storage = Storage(listing.container, folder if listing.inside else Path(), listing.column)
    try:
        for image in images:
            entry = image[0]
            try:
                if entry.problem is not None:
                    raise UnusableError(entry.problem)
                yield image, storage.read(entry.path, entry.row, entry.offset, entry.length)
            except UnusableError as reason:
                yield image, reason
    finally:
        storage.close()
