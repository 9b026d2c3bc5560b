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
        "no label: the sample has no cls member",
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
    with pytest.raises(UserError, match="no sample has a label in txt; 1 has jpg, cls; set ingest"):
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


@pytest.mark.parametrize(
    ("label", "member", "data"),
    [
        ("json.label", "json", b'{"label": 1.0}'),
        ("json.label", "json", b'\xef\xbb\xbf{"label": 1}'),
        ("json.meta.label", "json", b'{"meta": {"label": 1}}'),
        ("outputs.txt", "outputs.txt", b" 1 "),
        ("cls", "CLS", b"\xef\xbb\xbf1\r\n"),
    ],
)
def test_labels_are_read_as_people_write_them(
    label: str, member: str, data: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tar", {"1.input.jpg": b"x", f"1.{member}": data})
    listing = listed(path, label)
    assert listing.classes == ("1",)
    assert [(entry.label, entry.problem) for entry in listing.entries()] == [(0, None)]


@pytest.mark.parametrize(
    ("label", "data", "words"),
    [
        ("json.label", b'{"label": 1.5}', "json.label is 1.5, a float"),
        ("json.label", b'{"label": [1]}', r"json.label is \[1\], a list"),
        ("json.label", b'{"kind": 1}', "json.label is not there; there is kind"),
        ("json.label", b"{", "json is not JSON"),
        ("json", b"\xff\xfe", "json is not UTF-8 text"),
    ],
)
def test_what_stands_in_a_labels_place_is_said_when_it_is_none(
    label: str, data: bytes, words: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tar", {"1.jpg": b"x", "1.json": data})
    with pytest.raises(UserError, match=words):
        listed(path, label)


def test_sample_is_set_aside_when_its_name_is_not_utf8(tmp_path: Path, encode: Any) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for key in ("caf\xe9", *map(str, range(40))):
            number = len(key) if key.isalpha() else int(key)
            for kind, data in (("png", encode(number)), ("cls", str(number % 2).encode())):
                info = tarfile.TarInfo(f"{key}.{kind}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    manifest = classified(listed(path), tmp_path / "out", rules)
    assert manifest.quarantined == {"unreadable name": 1}
    assert manifest.usable == 40


def test_shards_tell_their_split_behind_the_sets_name(tmp_path: Path) -> None:
    for name in ("imagenet-train-000000", "imagenet_val_0", "deep/imagenet-test"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / f"{name}.tar", {"1.jpg": b"x", "1.cls": b"0"})
    found = {entry.id: entry.split for entry in listed(tmp_path).entries()}
    assert found == {
        "deep/imagenet-test/1": "test",
        "imagenet-train-000000/1": "train",
        "imagenet_val_0/1": "val",
    }


def test_name_that_says_two_splits_is_refused(tmp_path: Path) -> None:
    for name in ("train-tickets-test-0", "train-tickets-train-0"):
        write(tmp_path / f"{name}.tar", {"1.jpg": b"x", "1.cls": b"0"})
    with pytest.raises(UserError, match="says test and train"):
        listed(tmp_path)


def test_hidden_shards_are_passed_over_and_linked_folders_read(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    members = {"1.jpg": b"x", "1.cls": b"0"}
    write(shards / "train-0.tar", members)
    (shards / "._train-0.tar").write_bytes(b"resource fork")
    (shards / ".ipynb_checkpoints").mkdir()
    write(shards / ".ipynb_checkpoints/train-0-checkpoint.tar", members)
    (tmp_path / "more").mkdir()
    write(tmp_path / "more/0.tar", members)
    (shards / "test").symlink_to(tmp_path / "more")
    listing = listed(shards)
    assert {entry.id: entry.split for entry in listing.entries()} == {
        "test/0/1": "test",
        "train-0/1": "train",
    }
    assert listing.left_out.counts == {"hidden": 2}
