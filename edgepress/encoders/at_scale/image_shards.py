"""Image shards: tars, Parquet files and folders of images, taken as they lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.data.image_column import image_problem
from edgepress.data.listing import Entry
from edgepress.data.picture import UnusableError
from edgepress.data.tar_samples import samples
from edgepress.data.walk import NO_IMAGE, LeftOut, claims_to_be_image, refuse_undecodable, walk
from edgepress.errors import UserError
from edgepress.records.manifest import Container
from edgepress.vectors.shards import natural

LOOSE = 8192
"""Image files of a folder that make up one shard."""

_CONTAINERS: dict[str, Container] = {".tar": "tar", ".parquet": "parquet"}


@dataclass(frozen=True)
class ImageShard:
    """One file of images, or a run of the image files below a folder."""

    name: str
    """Unique among the shards of a job; ids of images in a tar or Parquet file begin with it.

    Image files have their paths below `path` as ids, as ingest gives them.
    """
    path: Path
    """The file, or the folder that `files` are relative to."""
    container: Container
    files: tuple[str, ...] = ()

    def stamp(self) -> str:
        """Return a sha256 of the names, sizes and times of change (ns) of the shard's files.

        Names are relative, so data that moves with its times stays the same. A file that is gone
        is a UserError.
        """
        digest = hashlib.sha256()
        base = self.path if self.files else self.path.parent
        try:
            for name in self.files or (self.path.name,):
                facts = (base / name).stat()
                digest.update(os.fsencode(name))
                digest.update(f"\0{facts.st_size} {facts.st_mtime_ns}\n".encode())
        except OSError as error:
            raise UserError(
                f"{error.filename}: {error.strerror}; restore it and run again"
            ) from None
        return digest.hexdigest()

    def entries(self) -> Iterator[Entry]:
        """Yield the images by place, under the ids that ingest gives them.

        What cannot be used for its name has a `problem`, so that usable ids never repeat.
        Raises UnusableError where the file is damaged, after the images before the damage.
        """
        if self.container == "tar":
            yield from self._samples()
        elif self.container == "parquet":
            for row in range(self._rows()):
                yield Entry(f"{self.name}:{row}", str(self.path), -1, row=row)
        else:
            for name in self.files:
                yield Entry.of_file(self.path / name, self.path, -1)

    def column(self, name: str) -> str | None:
        """Return `name` where it is a Parquet shard's column of images, None for others."""
        if self.container != "parquet":
            return None
        with _open(self.path) as file:
            problem = image_problem(file.schema_arrow, name)
        if problem is not None:
            raise UserError(f"{self.path}: {problem}")
        return name

    def _samples(self) -> Iterator[Entry]:
        for sample in samples(self.path):
            offset, length = sample.images[0] if sample.images else (0, 0)
            name = f"{self.name}/{sample.key}"
            place = str(self.path)
            yield Entry(name, place, -1, offset=offset, length=length, problem=sample.problem)

    def _rows(self) -> int:
        with _open(self.path) as file:
            return int(file.metadata.num_rows)


def find(paths: list[Path], column: str, left_out: LeftOut | None = None) -> tuple[ImageShard, ...]:
    """List the shards of files and folders: a folder's .tar and .parquet files, or else its images.

    `left_out` counts what lies there and is neither. Folders give their shards in natural order
    (2 before 10). A path that is missing, holds nothing or two kinds, names that would make ids
    repeat, and a Parquet file without `column` are UserErrors.
    """
    tally = LeftOut() if left_out is None else left_out
    shards = tuple(shard for path in paths for shard in _expand(path, tally))
    seen: dict[str, Path] = {}
    for shard in shards:
        if shard.name in seen:
            raise UserError(
                f"{shard.path}: is named {shard.name!r} like {seen[shard.name]}, so ids would "
                "repeat; rename it, or give the folder that holds both"
            )
        seen[shard.name] = shard.path
        with suppress(UnusableError):  # a damaged shard is set aside when its turn comes
            shard.column(column)
    _refuse_repeated_files(shards)
    _refuse_nested_tars(shards)
    return shards


def _refuse_repeated_files(shards: tuple[ImageShard, ...]) -> None:
    folders: dict[str, Path] = {}
    for shard in shards:
        for name in shard.files:
            first = folders.setdefault(name, shard.path)
            if first != shard.path:
                raise UserError(
                    f"{shard.path / name}: would have the id {name!r}, like {first / name}; "
                    "give the folder that holds both, or rename one"
                )


def _refuse_nested_tars(shards: tuple[ImageShard, ...]) -> None:
    """Sample b of a/x.tar and sample x/b of a.tar would both be a/x/b."""
    tars = {shard.name: shard.path for shard in shards if shard.container == "tar"}
    for name, path in tars.items():
        for parent in PurePosixPath(name).parents:
            if str(parent) in tars:
                raise UserError(
                    f"{path}: its ids begin with '{parent}/', like those of {tars[str(parent)]}, "
                    "so they may repeat; rename one of the two"
                )


def _expand(path: Path, left_out: LeftOut) -> Iterator[ImageShard]:
    if path.is_file():
        if path.suffix not in _CONTAINERS:
            raise UserError(f"{path}: expected a .tar or .parquet file, or a folder")
        refuse_undecodable(path)
        yield _shard(path, path.parent)
        return
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; name your images")
    packed, loose = _sorted(path, left_out)
    kinds = {file.suffix: file for file in packed}
    if loose:
        kinds["image"] = loose[0]
    if not kinds:
        raise UserError(f"{path}: holds no .tar, no .parquet and no image; name another folder")
    if len(kinds) > 1:
        both = " and ".join(map(str, kinds.values()))
        raise UserError(f"{path}: holds {both}; name tars, Parquet files or images alone")
    for file in packed:
        refuse_undecodable(path / file)
    yield from (_shard(path / file, path) for file in packed)
    for start in range(0, len(loose), LOOSE):
        names = tuple(file.as_posix() for file in loose[start : start + LOOSE])
        yield ImageShard(f"{path.name}-{start // LOOSE}", path, "file", names)


def _sorted(root: Path, left_out: LeftOut) -> tuple[list[Path], list[Path]]:
    """Return the tars and Parquet files below a folder, and its images, relative to it."""
    files = [file.relative_to(root) for file in walk(root, left_out)]
    files.sort(key=lambda file: [natural(Path(part)) for part in file.parts])
    tars = {file.with_suffix("") for file in files if file.suffix == ".tar"}
    packed, loose = [], []
    for file in files:
        if not (root / file).is_file():
            left_out.note("link that leads nowhere", file)
        elif file.suffix == ".parquet" and file.with_suffix("") in tars:
            left_out.note("note on a tar", file)  # img2dataset writes them into 00012.parquet.
        elif file.suffix in _CONTAINERS:
            packed.append(file)
        elif claims_to_be_image(root / file):
            loose.append(file)
        else:
            left_out.note(NO_IMAGE, file)
    return packed, loose


def _shard(file: Path, root: Path) -> ImageShard:
    name = file.relative_to(root).as_posix()
    return ImageShard(name.removesuffix(".tar"), file, _CONTAINERS[file.suffix])


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise UnusableError(f"{path}: cannot be read as Parquet: {error}") from None
    except OSError as error:
        if error.errno is None:  # pyarrow's own: a footer that makes no sense
            raise UnusableError(f"{path}: cannot be read as Parquet: {error}") from None
        raise UserError(f"{path}: cannot be read: {error}; fetch it anew") from None
