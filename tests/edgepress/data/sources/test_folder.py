from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgepress.data.listing import Listing
from edgepress.data.sources.folder import Params, ingest
from edgepress.errors import UserError


def listed(root: Path) -> Listing:
    return ingest(root / "unused", params=Params(method="folder", path=str(root)))


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_folders_are_classes_in_order_of_name(tmp_path: Path) -> None:
    listing = listed(put(tmp_path, "dog/2.png", "cat/1.png", "dog/deep/er/3.png", "cat/.hidden"))
    assert listing.classes == ("cat", "dog")
    assert listing.splits == frozenset()
    found = [(entry.id, entry.label, entry.split) for entry in listing.entries()]
    assert found == [("cat/1.png", 0, None), ("dog/2.png", 1, None), ("dog/deep/er/3.png", 1, None)]
    assert [entry.id for entry in listing.entries()] == [name for name, _, _ in found]


def test_deeper_folders_are_walked_in_order_of_name(tmp_path: Path) -> None:
    names = [f"cat/{letter}/{number}.png" for letter in "qzamfbx" for number in (2, 1)]
    listing = listed(put(tmp_path, "dog/1.png", *names))
    assert [entry.id for entry in listing.entries()] == [*sorted(names), "dog/1.png"]


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_split_folders_are_recognised(val: str, tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "train/b/1.png", f"{val}/a/1.png", "test/b/1.png")
    listing = listed(tmp_path)
    assert listing.classes == ("a", "b")
    assert listing.splits == {"train", "val", "test"}
    found = {entry.id: (entry.label, entry.split) for entry in listing.entries()}
    assert found[f"{val}/a/1.png"] == (0, "val")
    assert found["test/b/1.png"] == (1, "test")
    assert found["train/b/1.png"] == (1, "train")


def test_folder_named_train_is_a_class_when_it_holds_images(tmp_path: Path) -> None:
    listing = listed(put(tmp_path, "train/1.png", "plane/1.png"))
    assert listing.classes == ("plane", "train")
    assert listing.splits == frozenset()


def test_class_that_starts_with_a_splits_name_is_a_class(tmp_path: Path) -> None:
    listing = listed(put(tmp_path, "train-station/old/1.png", "airport/1.png"))
    assert listing.classes == ("airport", "train-station")


def test_files_outside_class_folders_have_no_label(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "train/b/1.png", "train/stray.png", "cover.png")
    problems = {e.id: (e.split, e.problem) for e in listed(tmp_path).entries() if e.problem}
    assert problems == {
        "cover.png": (None, "no label: lies outside every class folder"),
        "train/stray.png": ("train", "no label: lies outside every class folder"),
    }


def test_files_that_are_no_images_are_counted_and_named_and_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/Thumbs.db", "b/1.png", "b/.DS_Store", "README.roboflow.txt")
    put(tmp_path, "_classes.csv")
    (tmp_path / "b" / "noname").write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    listing = listed(tmp_path)
    assert [e.id for e in listing.entries()] == ["a/1.png", "b/1.png", "b/noname"]
    assert listing.left_out.counts == {"no image": 3, "hidden": 1}
    assert "hidden (.DS_Store)" in str(listing.left_out)


def test_linked_folders_are_read_once_when_links_go_round(tmp_path: Path) -> None:
    put(tmp_path, "set/cat/1.png", "set/dog/1.png", "store/2.png", "store/deep/3.png")
    (tmp_path / "set/cat/session2").symlink_to(tmp_path / "store")
    (tmp_path / "store/again").symlink_to(tmp_path / "set/cat")
    (tmp_path / "set/cow").symlink_to(tmp_path / "store/deep")
    listing = listed(tmp_path / "set")
    assert listing.classes == ("cat", "cow", "dog")
    assert [e.id for e in listing.entries()] == [
        "cat/1.png",
        "cat/session2/2.png",
        "cat/session2/deep/3.png",
        "cow/3.png",
        "dog/1.png",
    ]
    assert listing.left_out.counts == {"folder linked a second time": 1}


@pytest.mark.parametrize(
    "names",
    [
        ("seg_train/seg_train/a/1.png", "seg_test/seg_test/a/1.png", "seg_pred/seg_pred/1.png"),
        ("train-images/a/1.png", "test-images/a/1.png"),
        ("my_train/a/1.png", "my_train/b/1.png"),
        ("train/seg_train/a/1.png", "test/seg_test/a/1.png"),
        ("a/train/1.png", "a/test/1.png", "b/train/1.png", "b/test/1.png"),
    ],
)
def test_folders_that_look_like_splits_are_never_classes(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="like (a split|splits)"):
        listed(put(tmp_path, *names))


def test_years_and_other_words_for_splits_are_known(tmp_path: Path) -> None:
    put(tmp_path, "train2017/a/1.png", "dev/a/1.png", "Testing/b/1.png")
    splits = {entry.id: entry.split for entry in listed(tmp_path).entries()}
    assert splits == {"train2017/a/1.png": "train", "dev/a/1.png": "val", "Testing/b/1.png": "test"}


def test_paths_stay_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "pictures/a/1.png", "pictures/b/1.png")
    monkeypatch.chdir(tmp_path)
    listing = ingest(Path("unused"), params=Params(method="folder", path="pictures"))
    assert [entry.path for entry in listing.entries()] == ["pictures/a/1.png", "pictures/b/1.png"]
    assert not Path("unused").exists()


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ingest.source.path: .*gone: no such folder"):
        listed(tmp_path / "gone")


def test_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no class folder"):
        listed(put(tmp_path, "1.png"))


def test_empty_class_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/.hidden")
    with pytest.raises(UserError, match=r"/b: the class has no file"):
        listed(tmp_path)


def test_folder_beside_split_folders_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "val/a/1.png", "extra/a/1.png")
    with pytest.raises(UserError, match="train, val look like splits, but 'extra'"):
        listed(tmp_path)


def test_splits_without_train_or_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected one folder each for train"):
        listed(put(tmp_path, "val/a/1.png", "test/a/1.png"))
    shutil.copytree(tmp_path / "val", tmp_path / "train")
    shutil.copytree(tmp_path / "val", tmp_path / "valid")
    with pytest.raises(UserError, match="found test, train, val, valid"):
        listed(tmp_path)


def test_file_is_set_aside_when_its_name_is_not_utf8(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.png")).write_bytes(b"x")
    problems = {entry.id: entry.problem for entry in listed(tmp_path).entries()}
    assert problems == {
        "a/1.png": None,
        "a/\\xff.png": "unreadable name: is not UTF-8; rename it",
        "b/1.png": None,
    }


def test_class_is_refused_when_its_name_is_not_utf8(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png")
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    (folder / "1.png").write_bytes(b"x")
    with pytest.raises(UserError, match="not UTF-8; rename it"):
        listed(tmp_path)
