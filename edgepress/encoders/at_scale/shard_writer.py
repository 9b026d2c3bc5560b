"""Shard writer: the vectors of one shard as they come, in the layout that `edgepress curate` reads.

OUT/img_emb/img_emb_00012.npy and OUT/metadata/metadata_00012.parquet hold vectors and ids, as
clip-retrieval lays them out; OUT/shards/00012/ says what was embedded and what was set aside.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from edgepress.records.embedded_shard import EmbeddedShard

QUARANTINE = "quarantine.parquet"


class ShardWriter:
    """Takes one shard under temporary names; `finish` puts it in place of what was there."""

    def __init__(self, out: Path, index: int, dtype: str) -> None:
        """Write shard `index` below `out`, vectors as float16 or float32."""
        self.ids: list[str] = []
        self.width = 0
        self._aside: list[tuple[str, str]] = []
        self._dtype = np.dtype(dtype)
        self._vectors = out / "img_emb" / f"img_emb_{index:05}.npy"
        self._names = out / "metadata" / f"metadata_{index:05}.parquet"
        self._folder = shard_folder(out, index)
        self._quarantine = self._folder / QUARANTINE
        for path in (self._vectors, self._names, self._quarantine):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _partial(self._vectors).open("w+b")

    @property
    def quarantined(self) -> dict[str, int]:
        """Kind of reason -> images set aside."""
        return dict(Counter(reason.partition(":")[0] for _, reason in self._aside))

    def reason(self, kinds: frozenset[str]) -> str | None:
        """Return the first reason of one of these kinds, None if nothing was set aside for one."""
        return next((why for _, why in self._aside if why.partition(":")[0] in kinds), None)

    def add(self, ids: list[str], vectors: npt.NDArray[np.float32]) -> None:
        """Append images' vectors [N, D]; those without a direction are set aside."""
        with np.errstate(over="ignore"):
            stored = vectors.astype(self._dtype)
        finite = np.isfinite(stored).all(axis=1)
        usable = finite & stored.any(axis=1)
        for row in np.flatnonzero(~usable):
            kind = "zero vector" if finite[row] else f"not finite: as {self._dtype}"
            self.set_aside(ids[row], kind)
        if not usable.any():
            return
        if not self.ids:
            self.width = stored.shape[1]
            self._header()
        self._file.write(stored[usable].tobytes())
        self.ids += [name for name, fine in zip(ids, usable, strict=True) if fine]

    def set_aside(self, name: str, reason: str) -> None:
        """Note an image that has no vector; the reason is `kind` or `kind: detail`."""
        self._aside.append((name, reason))

    def finish(self, record: EmbeddedShard) -> None:
        """Put the files in place, `record` last; what would have no rows is removed.

        Earlier files stay until all new ones are whole; a kill in between leaves no record.
        """
        ids = {"id": self.ids}
        aside = {"id": [n for n, _ in self._aside], "reason": [why for _, why in self._aside]}
        if self.ids:
            self._file.seek(0)
            self._header()
        self._file.close()
        _write(_partial(self._names), ids)
        _write(_partial(self._quarantine), aside)
        (self._folder / record.file_name).unlink(missing_ok=True)
        for path, rows in (
            (self._vectors, self.ids),
            (self._names, self.ids),
            (self._quarantine, self._aside),
        ):
            if rows:
                _partial(path).replace(path)
            else:
                path.unlink(missing_ok=True)
        record.write(self._folder)

    def close(self) -> None:
        """Remove what was not finished."""
        self._file.close()
        for path in (self._vectors, self._names, self._quarantine):
            _partial(path).unlink(missing_ok=True)

    def _header(self) -> None:
        # NumPy leaves room in the header for the first axis to grow, so both have the same length.
        shape = (len(self.ids), self.width)
        descr = np.lib.format.dtype_to_descr(self._dtype)
        facts = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, facts)


def shard_folder(out: Path, index: int) -> Path:
    """Return the folder of what is known about shard `index`."""
    return out / "shards" / f"{index:05}"


def _write(path: Path, columns: dict[str, list[str]]) -> None:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    pq.write_table(table, path, compression="zstd")


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
