from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from edgepress.errors import UserError
from edgepress.records.record import Record, sha256_file, sha256_folder, write_atomically


class Note(Record):
    """A record of the smallest kind."""

    file_name: ClassVar[str] = "note.json"

    text: str
    scores: dict[str, float] = {}


def test_record_is_the_same_when_written_and_read(tmp_path: Path) -> None:
    note = Note(text="Grüße", scores={"a": 0.1 + 0.2})
    assert note.write(tmp_path / "new" / "folder") == tmp_path / "new" / "folder" / "note.json"
    assert Note.read(tmp_path / "new" / "folder") == note


def test_record_leaves_no_other_file_when_written_twice(tmp_path: Path) -> None:
    Note(text="a").write(tmp_path)
    Note(text="b").write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.json"]
    assert Note.read(tmp_path).text == "b"


def test_record_cannot_be_changed_when_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Note(text="a").text = "b"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "file not found; run the stage that writes it"),
        ("{", "Invalid JSON"),
        ("", "Invalid JSON"),
        (json.dumps({"text": "a"})[:-4], "Invalid JSON"),
        (json.dumps({"schema_version": 1}), "text: Field required"),
        (json.dumps({"text": "a", "txt": "b"}), "txt: Extra inputs"),
        (json.dumps({"text": "a", "schema_version": 2}), "schema_version 2 is unknown"),
        ("[]", "should be an object"),
    ],
)
def test_read_names_the_file_when_it_cannot_be_trusted(
    tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "note.json").write_text(content)
    with pytest.raises(UserError) as caught:
        Note.read(tmp_path)
    assert str(tmp_path / "note.json") in str(caught.value)
    assert words in str(caught.value)


def test_write_atomically_keeps_the_old_text_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")

    def full(self: Path, *args: object, **kwargs: object) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def folder(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return sha256_folder(root)


def test_sha256_folder_is_the_same_when_files_are_made_in_another_order(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", {"a": "1", "b/c": "2", "b.d": "3"})
    assert one == folder(tmp_path / "two", {"b.d": "3", "b/c": "2", "a": "1"})


@pytest.mark.parametrize(
    "files", [{"a": "12", "b": ""}, {"a": "1", "c": "2"}, {"a": "1"}, {"a": "2", "b": "1"}]
)
def test_sha256_folder_differs_when_a_name_or_content_does(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert folder(tmp_path / "one", {"a": "1", "b": "2"}) != folder(tmp_path / "two", files)


def test_sha256_file_is_the_standard_one_when_the_file_is_known(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "abc") == expected
