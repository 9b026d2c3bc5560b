"""Real handwritten digits that come with scikit-learn: 1,797 grey 8 x 8 images, no download.

https://archive.ics.uci.edu/dataset/80
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.data.listing import Entry, Listing
from edgepress.data.sources._digits import digits, png
from edgepress.params import Config
from edgepress.records.manifest import IMAGES

_FILE = f"{IMAGES}/digits.parquet"


class Params(Config):
    """Nothing to choose."""

    method: Literal["digits"]


def ingest(folder: Path, *, params: Params) -> Listing:
    """Encode the digits as PNG below `folder` and list them."""
    pictures, known = digits()
    encoded = [png(picture) for picture in pictures]
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": pa.array(encoded, pa.binary()), "label": pa.array(known)})
    pq.write_table(table, folder / _FILE, row_group_size=1024)

    def entries() -> Iterator[Entry]:
        for row, label in enumerate(known):
            yield Entry(f"digits/{row:04}", _FILE, label, row=row)

    return Listing(
        source=params.method,
        where="scikit-learn's digits",
        container="parquet",
        inside=True,
        classes=tuple(map(str, range(10))),
        splits=frozenset(),
        entries=entries,
        column="image",
    )
