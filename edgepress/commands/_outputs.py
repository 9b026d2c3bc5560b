"""Outputs of commands: refused before the work where they cannot be, written whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.errors import UserError
from edgepress.records.manifest import TABLE as MANIFEST_TABLE
from edgepress.records.manifest import Manifest
from edgepress.records.selection import TABLE, Selection
from edgepress.vectors.shards import Shards


@dataclass(frozen=True)
class Outputs:
    """What the command writes: the rows kept, a page and a folder with the full record."""

    out: Path
    report: Path | None = None
    selection: Path | None = None

    def refuse(self, inputs: Iterable[Path], scratch: Path) -> None:
        """Raise UserError where an output cannot be written, or lies on an input or another."""
        taken = {path.resolve(): "an input" for path in inputs}
        for flag, path in self._places():
            real = path.resolve()
            if real in taken:
                raise UserError(f"{flag} {path}: is {taken[real]} too; name another place")
            taken[real] = f"what {flag} writes"
        if scratch.resolve() in taken:
            raise UserError(f"--scratch {scratch}: is {taken[scratch.resolve()]} too; name another")
        refuse_unwritable("--out", self.out)
        if self.report is not None:
            refuse_unwritable("--report", self.report)
        if self.selection is not None:
            _refuse_folder(self.selection)

    def _places(self) -> Iterator[tuple[str, Path]]:
        yield "--out", self.out
        if self.report is not None:
            yield "--report", self.report
        if self.selection is not None:
            yield "--selection", self.selection
            for name in (TABLE, Selection.file_name):
                yield "--selection", self.selection / name


def inputs(shards: Shards, labels: Path | None, images: Path | None) -> Iterator[Path]:
    """Yield every file the command reads, but for the images of the manifest."""
    for part in shards.parts:
        yield part.path
        if part.ids is not None:
            yield part.ids[0]
    if labels is not None:
        yield labels
    if images is not None:
        yield from (images, images / Manifest.file_name, images / MANIFEST_TABLE)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an OSError into a UserError that names the output `path`, not a temporary name."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({_clause(error)}); mend that and give the same command "
            "again: it goes on from what is done"
        ) from None


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, renamed to it if the block ends well; see `naming`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with naming(path):
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_kept(folder: Path, out: Path) -> None:
    """Copy id, concept and distance of the rows kept into `out`, whole or not at all."""
    with pq.ParquetFile(folder / TABLE) as table, writing(out) as partial:
        schema = pa.schema([table.schema_arrow.field(i) for i in range(3)])
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in table.iter_batches():
                kept = batch.filter(batch.column("kept"))
                writer.write_batch(kept.select(schema.names))


def tidy(scratch: Path, *, own: bool) -> None:
    """Remove the command's scratch folders where they are empty, `scratch` itself if its `own`."""
    with suppress(OSError):
        (scratch / "runs").rmdir()
        if own:
            scratch.rmdir()


def refuse_unwritable(flag: str, path: Path) -> None:
    """Find out before hours of work that an output cannot be written."""
    if path.is_dir():
        raise UserError(f"{flag} {path}: is a folder; name a file")
    probe = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{flag} {path}: cannot be written ({error.strerror}); name another place"
        ) from None


def _refuse_folder(folder: Path) -> None:
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"--selection {folder}: is a file; name a folder")
        refuse_unwritable("--selection", folder)
        return
    for name in (TABLE, Selection.file_name):
        refuse_unwritable("--selection", folder / name)


def _clause(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
