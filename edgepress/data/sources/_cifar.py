"""The CIFAR archives in their binary version: fetched once, checked, never unpickled.

https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from edgepress.data.listing import Entry, Listing
from edgepress.errors import UserError
from edgepress.records.manifest import IMAGES, Split

_PIXELS = 3 * 32 * 32
_GROUP = 1000
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Archive:
    """One published archive and the layout of its records."""

    name: str
    url: str
    md5: str
    """As its authors publish it."""
    folder: str
    files: dict[Split, tuple[str, ...]]
    names: str
    """Member with a class name per line."""
    label_bytes: int
    """Bytes before the pixels of a record; the last of them is the label."""


def ingest_archive(folder: Path, archive: Archive, cache: Path) -> Listing:
    """Fetch the archive into `cache` unless it is there, encode its images below `folder`."""
    path = cache / archive.url.rpartition("/")[2]
    if not path.exists():
        _download(archive, path)
    _refuse_wrong(path, archive)
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    labels: dict[Split, list[int]] = {}
    with tarfile.open(path, "r:gz") as tar:
        classes = tuple(_member(tar, archive, archive.names).decode().split())
        for split, files in archive.files.items():
            records = b"".join(_member(tar, archive, name) for name in files)
            labels[split] = _encode(records, archive.label_bytes, folder / _file(split))

    def entries() -> Iterator[Entry]:
        for split, known in labels.items():
            for row, label in enumerate(known):
                yield Entry(f"{split}/{row:05}", _file(split), label, split, row)

    return Listing(
        source=archive.name,
        where=archive.name,
        container="parquet",
        inside=True,
        classes=classes,
        splits=frozenset(archive.files),
        entries=entries,
        column="image",
    )


def _file(split: Split) -> str:
    return f"{IMAGES}/{split}.parquet"


def _encode(records: bytes, label_bytes: int, path: Path) -> list[int]:
    table = np.frombuffer(records, np.uint8).reshape(-1, label_bytes + _PIXELS)
    schema = pa.schema([("image", pa.binary()), ("label", pa.int64())])
    labels: list[int] = table[:, label_bytes - 1].tolist()
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(table), _GROUP):
            images = [_png(record[label_bytes:]) for record in table[start : start + _GROUP]]
            columns = {"image": images, "label": labels[start : start + _GROUP]}
            writer.write_table(pa.table(columns, schema=schema))
    return labels


def _png(planes: np.ndarray[Any, Any]) -> bytes:  # uint8 [3072], red then green then blue
    file = io.BytesIO()
    pixels = np.ascontiguousarray(planes.reshape(3, 32, 32).transpose(1, 2, 0))
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _member(tar: tarfile.TarFile, archive: Archive, name: str) -> bytes:
    file = tar.extractfile(f"{archive.folder}/{name}")
    if file is None:
        raise UserError(f"{archive.name}: the archive lacks {archive.folder}/{name}")
    return file.read()


def _download(archive: Archive, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with (
            urllib.request.urlopen(archive.url, timeout=_TIMEOUT_S) as answer,
            partial.open("wb") as file,
        ):
            while block := answer.read(2**20):
                file.write(block)
        partial.replace(path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{archive.url}: cannot be downloaded ({reason}); check the network, or fetch it "
            f"elsewhere and put it at {path}"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def _refuse_wrong(path: Path, archive: Archive) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
        raise UserError(f"{path}: md5 is {found}, expected {archive.md5}; delete it and run again")
