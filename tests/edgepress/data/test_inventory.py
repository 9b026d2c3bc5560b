from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgepress.data.inventory import inventory, main


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
        os.utime(path, ns=(1, 1))
    return tmp_path / "images"


def digest(images: Path) -> str:
    return str(inventory({"method": "folder", "path": str(images)})["digest"])


def test_inventory_counts_files_when_the_source_has_a_path(images: Path) -> None:
    found = inventory({"method": "folder", "path": str(images)})
    assert (found["files"], found["bytes"]) == (3, 9)


def test_inventory_is_empty_when_the_source_brings_its_own_images() -> None:
    assert inventory({"method": "digits"})["files"] == 0


def test_inventory_takes_names_that_are_not_utf8(images: Path) -> None:
    Path(os.fsdecode(os.fsencode(images) + b"/\xff.png")).touch()
    assert inventory({"method": "folder", "path": str(images)})["files"] == 4


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


def test_main_leaves_the_file_alone_when_nothing_changed(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        f"ingest: {{source: {{method: folder, path: {images}}}}}\nembed: {{method: rotation}}\n"
    )
    assert main(["data"]) == 0
    before = Path("data/source.json").stat()
    assert main(["data"]) == 0
    assert Path("data/source.json").stat().st_mtime_ns == before.st_mtime_ns
    (images / "a" / "1.png").unlink()
    assert main(["data"]) == 0
    assert Path("data/source.json").stat().st_mtime_ns != before.st_mtime_ns


def test_encoder_file_changes_when_embeddings_made_elsewhere_do(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        "ingest: {source: {method: digits}}\n"
        f"embed: {{method: precomputed, embeddings: {images}/a/1.png, ids: {images}/b/1.png}}\n"
    )
    seen = []
    for change in (None, "a/1.png", "b/1.png"):
        if change:
            (images / change).write_bytes(b"12345")
        assert main(["data"]) == 0
        seen.append((Path("data/source.json").read_text(), Path("data/encoder.json").read_text()))
    assert len({source for source, _ in seen}) == 1
    assert len({encoder for _, encoder in seen}) == 3


def test_main_refuses_in_one_line_when_params_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data"]) == 2
    assert capsys.readouterr().err == "inventory: params.yaml: file not found\n"
