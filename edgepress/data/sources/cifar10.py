"""CIFAR-10: 60,000 colour 32 x 32 images in 10 classes, downloaded on first use (170 MB).

https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgepress.data.listing import Listing
from edgepress.data.sources._cifar import Archive, ingest_archive
from edgepress.params import Config

ARCHIVE = Archive(
    name="cifar10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    files={
        "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("test_batch.bin",),
    },
    names="batches.meta.txt",
    label_bytes=1,
)


class Params(Config):
    """Where the download is kept."""

    method: Literal["cifar10"]
    cache: str
    """Folder of the downloaded archive, outside the pipeline's outputs."""


def ingest(folder: Path, *, params: Params) -> Listing:
    """Download CIFAR-10 once, encode its images as PNG below `folder` and list them."""
    return ingest_archive(folder, ARCHIVE, Path(params.cache))
