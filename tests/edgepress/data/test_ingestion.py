from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.sources import folder
from edgepress.data.splits import Fractions
from edgepress.data.table import read_table
from edgepress.errors import UserError
from edgepress.records.manifest import Manifest
from tests.classified import classified

FRACTIONS = Fractions(val=0.2, test=0.3)


def ingest(pictures: Path, out: Path, limit: int | None = None) -> Manifest:
    params = folder.Params(method="folder", path=str(pictures))
    listing = folder.ingest(out, params=params)
    return classified(listing, out, Rules(split=FRACTIONS, limit=limit))


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(out).to_pylist()
    return found


def test_manifest_says_the_same_when_written_twice(class_folders: Path, tmp_path: Path) -> None:
    one = ingest(class_folders, tmp_path / "one")
    two = ingest(class_folders, tmp_path / "two")
    assert one == two
    assert (tmp_path / "one/manifest.parquet").read_bytes() == (
        tmp_path / "two/manifest.parquet"
    ).read_bytes()


def test_table_describes_each_image(class_folders: Path, tmp_path: Path) -> None:
    ingest(class_folders, tmp_path / "out")
    row = rows(tmp_path / "out")[31]
    assert row["id"] == "dog/01.png"
    assert row["path"] == f"{class_folders}/dog/01.png"
    facts = {
        k: row[k] for k in ("label", "width", "height", "channels", "mode", "status", "reason")
    }
    assert facts == {
        "label": 1,
        "width": 12,
        "height": 12,
        "channels": 3,
        "mode": "RGB",
        "status": "ok",
        "reason": "",
    }


def test_progress_counts_every_image(class_folders: Path, tmp_path: Path) -> None:
    params = folder.Params(method="folder", path=str(class_folders))
    listing = folder.ingest(tmp_path / "out", params=params)
    seen: list[int] = []
    classified(listing, tmp_path / "out", Rules(split=FRACTIONS, limit=None), seen.append)
    assert sum(seen) == 60


def test_split_stays_when_other_images_come_and_go(class_folders: Path, tmp_path: Path) -> None:
    ingest(class_folders, tmp_path / "before")
    (class_folders / "cat/00.png").unlink()
    (class_folders / "dog/99.png").write_bytes((class_folders / "dog/00.png").read_bytes())
    ingest(class_folders, tmp_path / "after")
    before = {row["id"]: row["split"] for row in rows(tmp_path / "before")}
    after = {row["id"]: row["split"] for row in rows(tmp_path / "after")}
    assert {name: after[name] for name in before if name in after} == {
        name: split for name, split in before.items() if name != "cat/00.png"
    }


def test_bad_images_are_quarantined_and_counted(class_folders: Path, tmp_path: Path) -> None:
    good = (class_folders / "cat/00.png").read_bytes()
    (class_folders / "cat/empty.png").write_bytes(b"")
    (class_folders / "cat/cut.png").write_bytes(good[:-30])
    (class_folders / "dog/notes.txt").write_text("dogs")
    (class_folders / "dog/loop.png").symlink_to(class_folders / "dog/loop.png")
    (class_folders / "stray.png").write_bytes(good)
    manifest = ingest(class_folders, tmp_path / "out")  # notes are no images and count as none
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "out") if row["reason"]}
    kinds = {name: reason.split(":")[0] for name, reason in reasons.items()}
    assert kinds == {
        "cat/empty.png": "empty",
        "cat/cut.png": "corrupt",
        "dog/loop.png": "cannot be read",
        "stray.png": "no label",
    }
    assert manifest.quarantined == Counter(kinds.values())
    assert manifest.usable == 60
    assert not set(kinds) & set(ImageSet.open(tmp_path / "out").ids)


def test_limit_takes_so_many_of_each_split(class_folders: Path, tmp_path: Path) -> None:
    manifest = ingest(class_folders, tmp_path / "few", limit=9)
    assert {split: sum(c.values()) for split, c in manifest.counts.items()} == dict.fromkeys(
        ("train", "val", "test"), 9
    )
    ingest(class_folders, tmp_path / "all")
    splits = {row["id"]: row["split"] for row in rows(tmp_path / "all")}
    assert all(splits[row["id"]] == row["split"] for row in rows(tmp_path / "few"))


def test_class_without_a_usable_image_is_refused(class_folders: Path, tmp_path: Path) -> None:
    for path in (class_folders / "dog").iterdir():
        path.write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"class 'dog' has no usable image; 30 .* dog/00.png \(not"):
        ingest(class_folders, tmp_path / "out")


def test_split_without_a_usable_image_is_refused(class_folders: Path, tmp_path: Path) -> None:
    for path in class_folders.rglob("*.png"):
        if int(path.stem) > 0:
            path.unlink()
    with pytest.raises(UserError, match="split has no usable image; raise ingest.split"):
        ingest(class_folders, tmp_path / "out")


def test_single_class_is_refused(class_folders: Path, tmp_path: Path) -> None:
    for path in (class_folders / "dog").iterdir():
        path.unlink()
    (class_folders / "dog").rmdir()
    with pytest.raises(UserError, match=r"at least 2 classes, found \['cat'\]"):
        ingest(class_folders, tmp_path / "out")
