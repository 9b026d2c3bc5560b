from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.listing import Listing
from edgepress.data.sources.webdataset import Params, ingest
from edgepress.data.splits import Fractions
from edgepress.errors import UserError
from tests.classified import classified


def write(path: Path, members: dict[str, bytes], mode: Any = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def listed(path: Path, label: str = "cls") -> Listing:
    params = Params(method="webdataset", path=str(path), label=label)
    return ingest(path.parent / "unused", params=params)


def test_samples_are_grouped_by_name_up_to_the_first_dot(tmp_path: Path) -> None:
    path = write(
        tmp_path / "shard-000.tar",
        {"a/1.jpg": b"one", "a/1.cls": b"10", "a/2.cls": b" 9\n", "a/2.left.png": b"two2"},
    )
    listing = listed(path)
    assert listing.classes == ("9", "10")
    found = [(e.id, e.label, e.length, e.problem) for e in listing.entries()]
    assert found == [("shard-000/a/1", 1, 3, None), ("shard-000/a/2", 0, 4, None)]
    data = path.read_bytes()
    for entry, expected in zip(listing.entries(), [b"one", b"two2"], strict=True):
        assert entry.offset is not None
        assert data[entry.offset :][: entry.length] == expected


def test_label_comes_from_a_field_of_the_json_member(tmp_path: Path) -> None:
    members = {"1.json": json.dumps({"kind": "cat"}).encode(), "1.webp": b"x"}
    members |= {"2.json": json.dumps({"kind": 7}).encode(), "2.webp": b"x"}
    members |= {"3.json": b"{}", "3.webp": b"x", "4.json": b"not json", "4.webp": b"x"}
    listing = listed(write(tmp_path / "a.tar", members), "json.kind")
    assert listing.classes == ("7", "cat")
    assert [entry.label for entry in listing.entries()] == [1, 0, None, None]


def test_samples_without_one_image_or_a_label_have_a_problem(tmp_path: Path) -> None:
    members = {"1.cls": b"0", "2.jpg": b"x", "3.cls": b"1", "3.jpg": b"x", "3.b.jpg": b"x"}
    problems = [e.problem for e in listed(write(tmp_path / "a.tar", members)).entries()]
    assert problems == [
        "no image: the sample has 0 image members, expected one",
        "no label: the sample has no label member",
        "no image: the sample has 2 image members, expected one",
    ]


def test_images_are_read_in_place(tmp_path: Path, encode: Any) -> None:
    pictures = [encode(seed) for seed in range(40)]
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        members: dict[str, bytes] = {}
        for number in range(20):
            members[f"{number:03}.png"] = pictures[20 * shard + number]
            members[f"{number:03}.cls"] = str(number % 2).encode()
        write(tmp_path / f"shards/train-{shard}.tar", members)
    out = tmp_path / "manifest"
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    manifest = classified(listed(tmp_path / "shards"), out, rules)
    assert manifest.usable == 40
    assert all(sum(counts.values()) for counts in manifest.counts.values())
    images = ImageSet.open(out)
    assert [images.encoded(index) for index in range(40)] == pictures
    assert images.ids[20] == "train-1/000"


def test_shards_tell_their_split_by_name(tmp_path: Path) -> None:
    for name in ("train-0", "val-0", "test-0"):
        write(tmp_path / f"{name}.tar", {"1.jpg": b"x", "1.cls": b"0"})
    assert [entry.split for entry in listed(tmp_path).entries()] == ["test", "train", "val"]


def test_shards_without_the_label_member_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no sample has a txt member; set ingest.source.label"):
        listed(write(tmp_path / "a.tar", {"1.jpg": b"x", "1.cls": b"0"}), "txt")


def test_compressed_shard_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", {"1.jpg": b"x", "1.cls": b"0"}, "w:gz")
    with pytest.raises(UserError, match=r"a.tar: cannot be read as a plain tar"):
        listed(tmp_path)


def test_truncated_shard_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", {"1.cls": b"0", "1.jpg": bytes(5000)})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"a.tar: cannot be read as a plain tar: unexpected end"):
        listed(path)
