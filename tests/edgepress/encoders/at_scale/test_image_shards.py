from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgepress.data.picture import UnusableError
from edgepress.data.walk import LeftOut
from edgepress.encoders.at_scale import image_shards
from edgepress.encoders.at_scale.image_shards import ImageShard, find
from edgepress.errors import UserError
from tests.image_shards import write_tar


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


def _photos(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.png").write_bytes(data)
        os.utime(folder / f"{name}.png", ns=(0, 1_000 + ord(name)))
    return folder


def test_stamp_changes_when_a_file_is_renamed_or_two_are_swapped(tmp_path: Path) -> None:
    folder = _photos(tmp_path / "photos", a=b"one", b=b"two")

    def stamp() -> str:
        [shard] = find([folder], "image")
        return shard.stamp()

    before = stamp()
    assert stamp() == before
    (folder / "a.png").rename(folder / "c.png")
    renamed = stamp()
    (folder / "b.png").rename(folder / "a.png")
    (folder / "c.png").rename(folder / "b.png")
    assert len({before, renamed, stamp()}) == 3


def test_stamp_stays_when_the_data_moves(tmp_path: Path) -> None:
    [shard] = find([_photos(tmp_path / "photos", a=b"one", b=b"two")], "image")
    before = shard.stamp()
    (tmp_path / "photos").rename(tmp_path / "moved")
    [moved] = find([tmp_path / "moved"], "image")
    assert moved.stamp() == before


def test_repeats_have_a_problem_when_a_tar_names_a_sample_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("a.json", "b.json", "a.png", "b.png", "a.png", "b.png", "a.png", "c.png"):
            tar.addfile(tarfile.TarInfo(name))
    [shard] = find([path], "image")
    found = [(entry.id, (entry.problem or "").partition(":")[0]) for entry in shard.entries()]
    assert found == [
        ("x/a", "no image"), ("x/b", "no image"), ("x/a", ""), ("x/b", ""),
        ("x/a", "repeated name"), ("x/b", "repeated name"), ("x/a", "repeated name"), ("x/c", ""),
    ]  # fmt: skip


def test_names_are_set_aside_when_they_are_not_utf_8(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", a=b"x")
    (photos / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    [shard] = find([photos], "image")
    said = "unreadable name: is not UTF-8; rename it"
    found = [(entry.id, entry.problem) for entry in shard.entries()]
    assert found == [("a.png", None), ("\\xff.png", said)]
    assert shard.stamp()
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo(os.fsdecode(b"\xff.png")))
    [shard] = find([tmp_path / "x.tar"], "image")
    [entry] = shard.entries()
    assert (entry.id, entry.problem) == ("x/\\xff", said)


def test_images_are_found_by_content_and_the_rest_is_counted(tmp_path: Path) -> None:
    folder = _photos(tmp_path / "photos", a=b"x")
    jpeg = b"\xff\xd8\xff\xe0 a jpeg"
    for name in ("b.jfif", "c.JPE", "d"):
        (folder / name).write_bytes(jpeg)
    (folder / "notes.txt").write_text("a note")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "gone.png").symlink_to("nowhere")
    more = tmp_path / "more"
    _photos(more, e=b"x")
    (folder / "linked").symlink_to(more)
    (more / "back").symlink_to(folder)
    left_out = LeftOut()
    [shard] = find([folder], "image", left_out)
    assert sorted(shard.files) == ["a.png", "b.jfif", "c.JPE", "d", "linked/e.png"]
    assert left_out.counts == {
        "no image": 1,
        "hidden": 1,
        "link that leads nowhere": 1,
        "folder linked a second time": 1,
    }
    assert shard.stamp()


def test_find_refuses_both_files_when_ids_would_repeat(tmp_path: Path) -> None:
    one, two = _photos(tmp_path / "fa", a=b"x", b=b"x"), _photos(tmp_path / "fb", b=b"y", c=b"y")
    clause = f"^{two}/b.png: would have the id 'b.png', like {one}/b.png; give the folder"
    with pytest.raises(UserError, match=clause):
        find([one, two], "image")
    [shard] = find([tmp_path], "image")
    ids = [entry.id for entry in shard.entries()]
    assert ids == ["fa/a.png", "fa/b.png", "fb/b.png", "fb/c.png"]


def test_find_refuses_a_tar_when_its_ids_begin_like_those_of_another(tmp_path: Path) -> None:
    outer = write_tar(tmp_path / "t" / "x.tar", {"y/1.png": b"1"})
    inner = write_tar(tmp_path / "t" / "x" / "y.tar", {"1.png": b"1"})
    with pytest.raises(UserError, match=f"^{inner}: its ids begin with 'x/', like .*{outer}"):
        find([tmp_path / "t"], "image")


@pytest.mark.parametrize("damage", ["header", "end"])
@pytest.mark.parametrize(("byte", "seen"), [(2048, ["x/0", "x/1"]), (3072, ["x/0", "x/1"])])
def test_tar_is_damaged_when_a_header_in_it_is_bad_or_missing(
    tmp_path: Path, damage: str, byte: int, seen: list[str]
) -> None:
    members = ("0.png", "1.png", "2.json", "2.png")
    path = write_tar(tmp_path / "x.tar", dict.fromkeys(members, b"data"))
    data = path.read_bytes()
    rest = b"" if damage == "end" else b"?" * 512 + data[byte + 512 :]
    path.write_bytes(data[:byte] + rest)
    found: list[str] = []
    with pytest.raises(UnusableError, match=f"at byte {byte}, where the end mark should be"):
        found.extend(entry.id for entry in ImageShard("x", path, "tar").entries())
    assert found == seen


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
