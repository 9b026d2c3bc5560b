"""Stamps of the user's own files: any change of them is seen, whatever links lead there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgepress.state.inputs import stamp


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
        os.utime(path, ns=(1, 1))
    return tmp_path / "images"


def digest(images: Path) -> str:
    return str(stamp({"method": "folder", "path": str(images)})["digest"])


def test_stamp_counts_files_when_the_source_has_a_path(images: Path) -> None:
    found = stamp({"method": "folder", "path": str(images)})
    assert (found["files"], found["bytes"]) == (3, 9)


def test_stamp_is_empty_when_the_source_brings_its_own_images() -> None:
    assert stamp({"method": "digits"})["files"] == 0


def test_stamp_takes_names_that_are_not_utf8(images: Path) -> None:
    Path(os.fsdecode(os.fsencode(images) + b"/\xff.png")).touch()
    assert stamp({"method": "folder", "path": str(images)})["files"] == 4


@pytest.mark.parametrize("change", ["add", "remove", "rename", "grow", "touch"])
def test_digest_changes_when_a_file_does(images: Path, change: str) -> None:
    before = digest(images)
    one = images / "a" / "1.png"
    if change == "add":
        (images / "c.png").touch()
    elif change == "remove":
        one.unlink()
    elif change == "rename":
        one.rename(images / "a" / "3.png")
    elif change == "grow":
        one.write_bytes(b"1234")
        os.utime(one, ns=(1, 1))
    else:
        os.utime(one, ns=(2, 2))
    assert digest(images) != before


def test_stamp_changes_when_the_store_behind_a_link_does(images: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cat").symlink_to(images / "a")
    entry = {"method": "folder", "path": str(tmp_path / "set")}
    before = stamp(entry)
    assert before["files"] == 2
    (images / "a" / "1.png").unlink()
    (images / "a" / "9.png").touch()
    assert stamp(entry)["digest"] != before["digest"]


def test_stamp_ends_when_links_go_round(images: Path) -> None:
    (images / "a" / "back").symlink_to(images)
    assert stamp({"method": "folder", "path": str(images)})["files"] == 3


def test_stamp_covers_embeddings_and_their_ids(images: Path) -> None:
    entry = {"embeddings": f"{images}/a/1.png", "ids": f"{images}/b/1.png"}
    seen = {str(stamp(entry)["digest"])}
    for change in ("a/1.png", "b/1.png"):
        (images / change).write_bytes(b"12345")
        seen.add(str(stamp(entry)["digest"]))
    assert len(seen) == 3


def test_stamp_covers_every_entry_when_there_are_several(images: Path) -> None:
    weights = {"path": f"{images}/a/1.png"}
    before = stamp(weights, {"path": f"{images}/b/1.png"})
    assert before["files"] == 2
    (images / "b" / "1.png").write_bytes(b"12345")
    assert stamp(weights, {"path": f"{images}/b/1.png"})["digest"] != before["digest"]
