from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from edgepress.data import table
from edgepress.data.groups import Grouping
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.sources import folder
from edgepress.data.splits import Fractions
from edgepress.data.table import read_table
from edgepress.errors import UserError
from edgepress.records.manifest import Manifest
from tests.classified import classified

FRACTIONS = Fractions(val=0.2, test=0.3)


def ingest(pictures: Path, out: Path, limit: int | None = None, **split: Any) -> Manifest:
    params = folder.Params(method="folder", path=str(pictures))
    listing = folder.ingest(out, params=params)
    fractions = Fractions(val=FRACTIONS.val, test=FRACTIONS.test, **split)
    return classified(listing, out, Rules(split=fractions, limit=limit))


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


def splits_of(out: Path) -> dict[str | None, set[str]]:
    """Return the splits in which each group has images."""
    found: dict[str | None, set[str]] = {}
    for row in rows(out):
        found.setdefault(row["group"], set()).add(row["split"])
    return found


def test_rows_carry_their_group_and_no_group_crosses(class_folders: Path, tmp_path: Path) -> None:
    by_day = Grouping(by="id", pattern=r"(\d)\.png")
    (class_folders / "dog/other.png").write_bytes((class_folders / "cat/00.png").read_bytes())
    manifest = ingest(class_folders, tmp_path / "days", group=by_day)
    found = splits_of(tmp_path / "days")
    assert found.keys() == {*"0123456789", None}
    assert all(len(splits) == 1 for splits in found.values())
    splits = {row["id"]: row["split"] for row in rows(tmp_path / "days")}
    assert splits["dog/other.png"] == splits["cat/00.png"]
    assert manifest.groups is not None
    assert manifest.groups.model_dump() == {"by": "id", "groups": 10, "largest": 6, "alone": 1}
    assert {path.name for path in (tmp_path / "days").iterdir()} == {
        "manifest.json",
        "manifest.parquet",
    }
    images = ImageSet.open(tmp_path / "days")
    assert images.groups is not None
    assert images.groups.max() == 10  # ten days, and the picture of its own
    days = [name[-5] for name in images.ids]
    assert len({*zip(days, images.groups.tolist(), strict=True)}) == 11
    ingest(class_folders, tmp_path / "none")
    assert splits_of(tmp_path / "none").keys() == {None}
    assert ImageSet.open(tmp_path / "none").groups is None


def test_altered_copies_of_a_picture_are_drawn_together_by_their_looks(
    class_folders: Path, tmp_path: Path, encode: Callable[..., bytes]
) -> None:
    for number in range(30):
        (class_folders / f"cat/{number:02}.png").write_bytes(encode(number, 96))
        with Image.open(class_folders / f"cat/{number:02}.png") as picture:
            picture.resize((192, 192)).save(class_folders / f"cat/{number:02} larger.bmp")
            picture.save(class_folders / f"cat/{number:02} poorer.jpg", quality=98)
    plain = ingest(class_folders, tmp_path / "plain")
    grouped = ingest(class_folders, tmp_path / "looks", group=Grouping(by="near_duplicate", bits=8))
    parted = {"plain": 0, "looks": 0}
    for name in parted:
        splits = {row["id"]: row["split"] for row in rows(tmp_path / name)}
        for number in range(30):
            original = f"cat/{number:02}"
            names = (f"{original}.png", f"{original} larger.bmp", f"{original} poorer.jpg")
            parted[name] += len({splits[each] for each in names}) > 1
    assert parted["plain"] > 5
    assert parted["looks"] == 0
    names = {row["id"]: row["group"] for row in rows(tmp_path / "looks")}
    assert names["cat/07.png"] == names["cat/07 poorer.jpg"] == "cat/07 larger.bmp"
    assert (plain.groups, plain.usable) == (None, grouped.usable)
    assert grouped.groups is not None
    assert grouped.groups.groups >= 30


@pytest.mark.parametrize("grouping", [Grouping(by="id", pattern=r"\d"), Grouping(by="folder")])
def test_limit_takes_at_most_so_many_of_each_split_when_images_are_grouped(
    grouping: Grouping, class_folders: Path, tmp_path: Path
) -> None:
    for name in ("cat", "dog"):
        for path in sorted((class_folders / name).glob("*.png")):
            day = class_folders / name / f"{int(path.stem) % 9}"
            day.mkdir(exist_ok=True)
            path.rename(day / path.name)
    every = ingest(class_folders, tmp_path / "all", group=grouping)
    few = ingest(class_folders, tmp_path / "few", limit=6, group=grouping)
    assert few.items == {split: min(6, count) for split, count in every.items.items()}
    splits = {row["id"]: row["split"] for row in rows(tmp_path / "all")}
    assert all(splits[row["id"]] == row["split"] for row in rows(tmp_path / "few"))


def test_limit_holds_when_looks_are_known_only_later(class_folders: Path, tmp_path: Path) -> None:
    looks = Grouping(by="near_duplicate", bits=16)
    manifest = ingest(class_folders, tmp_path / "few", limit=9, group=looks)
    assert max(manifest.items.values()) <= 9
    assert len(rows(tmp_path / "few")) == manifest.usable
    found = splits_of(tmp_path / "few")
    assert len(found) > 1
    assert all(len(splits) == 1 for name, splits in found.items() if name is not None)


def test_rows_say_the_same_when_the_table_has_many_row_groups(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Grouping(by="near_duplicate", bits=16)
    ingest(class_folders, tmp_path / "one", limit=15, group=looks)
    monkeypatch.setattr(table, "_GROUP", 7)
    ingest(class_folders, tmp_path / "many", limit=15, group=looks)
    assert pq.ParquetFile(tmp_path / "many/manifest.parquet").num_row_groups > 3
    assert rows(tmp_path / "many") == rows(tmp_path / "one")
    assert any(row["group"] for row in rows(tmp_path / "one"))


def test_copies_of_the_sources_test_images_leave_train_when_leaks_are_quarantined(
    class_folders: Path, tmp_path: Path
) -> None:
    for name in ("cat", "dog"):
        for split in ("train", "test"):
            (class_folders / split / name).mkdir(parents=True)
        for path in sorted((class_folders / name).glob("*.png")):
            split = "train" if int(path.stem) < 20 else "test"
            path.rename(class_folders / split / name / path.name)
        (class_folders / name).rmdir()
        copy = class_folders / "train" / name / "copy.png"
        copy.write_bytes((class_folders / "test" / name / "25.png").read_bytes())
    kept = ingest(class_folders, tmp_path / "kept")
    manifest = ingest(class_folders, tmp_path / "out", leaks="quarantine")
    assert kept.quarantined == {}
    assert manifest.quarantined == {"leak": 2}
    assert manifest.items["test"] == kept.items["test"] == 20
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "out") if row["reason"]}
    assert reasons == {
        f"train/{name}/copy.png": f"leak: copy of test/{name}/25.png in test"
        for name in ("cat", "dog")
    }
    assert not set(reasons) & set(ImageSet.open(tmp_path / "out").ids)


def test_table_of_before_groups_is_refused_where_they_are_needed(
    class_folders: Path, tmp_path: Path
) -> None:
    ingest(class_folders, tmp_path / "out")
    path = tmp_path / "out/manifest.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["group"]), path)
    old = json.loads((tmp_path / "out/manifest.json").read_text())
    del old["groups"]
    (tmp_path / "out/manifest.json").write_text(json.dumps(old))
    assert len(ImageSet.open(tmp_path / "out")) == 60
    with pytest.raises(UserError, match="lacks the column group; run the ingest stage anew"):
        read_table(tmp_path / "out")


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
