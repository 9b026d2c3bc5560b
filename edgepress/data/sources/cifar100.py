"""CIFAR-100: 60,000 colour 32 x 32 images in 100 classes, downloaded on first use (169 MB).

https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgepress.data.listing import Listing
from edgepress.data.sources._cifar import Archive, ingest_archive
from edgepress.params import Config

ARCHIVE = Archive(
    name="cifar100",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    files={"train": ("train.bin",), "test": ("test.bin",)},
    names="fine_label_names.txt",
    label_bytes=2,
)


class Params(Config):
    """Where the download is kept."""

    method: Literal["cifar100"]
    cache: str
    """Folder of the downloaded archive, outside the pipeline's outputs."""


def ingest(folder: Path, *, params: Params) -> Listing:
    """Download CIFAR-100 once, encode its images as PNG below `folder` and list them."""
    return ingest_archive(folder, ARCHIVE, Path(params.cache))
