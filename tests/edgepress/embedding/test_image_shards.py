from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.data.picture import UnusableError
from edgepress.embedding import image_shards
from edgepress.embedding.image_shards import ImageShard, find
from edgepress.errors import UserError


def _names(*paths: Path) -> list[str]:
    return [shard.name for shard in find(list(paths), "image")]


def _parquet(path: Path, values: list[bytes], column: str = "image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: pa.array(values, pa.binary())}), path)
    return path


def test_tars_are_the_shards_when_notes_on_them_lie_beside(tars: Path) -> None:
    assert _names(tars) == ["00000", "00001", "00002", "00003"]
    assert _names(tars / "00002.tar", tars / "00001.tar") == ["00002", "00001"]


def test_shards_come_in_natural_order_when_a_folder_is_given(tmp_path: Path) -> None:
    for name in ("b/part_10", "b/part_2", "a/part_30"):
        _parquet(tmp_path / f"{name}.parquet", [b"x"])
    assert _names(tmp_path) == ["a/part_30.parquet", "b/part_2.parquet", "b/part_10.parquet"]


def test_images_are_cut_into_shards_when_they_lie_loose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_shards, "LOOSE", 2)
    for name in ("b.JPG", "a/1.png", "c.webp", "notes.txt", ".hidden.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x")
    shards = find([tmp_path / "photos"], "image")
    assert [shard.name for shard in shards] == ["photos-0", "photos-1"]
    assert [e.id for shard in shards for e in shard.entries()] == ["a/1.png", "b.JPG", "c.webp"]


def test_ids_are_those_of_ingest_when_images_lie_in_shards(tars: Path, tmp_path: Path) -> None:
    [tar] = find([tars / "00001.tar"], "image")
    entries = list(tar.entries())
    assert [entries[0].id, entries[-1].id] == ["00001/00040", "00001/00079"]
    assert [e.id for e in entries if e.problem] == ["00001/00051"]
    [rows] = find([_parquet(tmp_path / "a.parquet", [b"x", b"y"])], "image")
    assert [(e.id, e.row) for e in rows.entries()] == [("a.parquet:0", 0), ("a.parquet:1", 1)]


def test_stamp_changes_when_the_file_does(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "a.parquet", [b"x"])
    [shard] = find([path], "image")
    before = shard.stamp()
    _parquet(path, [b"xyz"])
    assert shard.stamp() != before
    path.unlink()
    with pytest.raises(UserError, match=r"a.parquet: No such file"):
        shard.stamp()


def test_entries_before_the_damage_are_given_when_a_tar_is_cut_off(tars: Path) -> None:
    path = tars / "00000.tar"
    path.write_bytes(path.read_bytes()[:20_000])
    seen: list[str] = []
    entries = ImageShard("00000", path, "tar").entries()
    with pytest.raises(UnusableError, match="cannot be read as a plain tar"):
        seen.extend(entry.id for entry in entries)
    assert seen
    assert seen[0] == "00000/00000"


def test_find_refuses_what_cannot_be_embedded(tmp_path: Path, tars: Path) -> None:
    def refused(clause: str, *paths: Path) -> None:
        with pytest.raises(UserError, match=clause):
            find(list(paths), "image")

    refused("no such file or folder", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    refused("holds no .tar, no .parquet and no image", tmp_path / "empty")
    refused("expected a .tar or .parquet file", tars / "00000_stats.json")
    refused("named '00000' like", tars, tars / "00000.tar")
    _parquet(tmp_path / "two" / "x.parquet", [b"x"], "picture")
    refused(r"x.parquet: has no column 'image'; there are picture", tmp_path / "two")
    (tmp_path / "two" / "y.png").write_bytes(b"x")
    refused(r"holds x.parquet and y.png", tmp_path / "two")
