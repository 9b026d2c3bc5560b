from __future__ import annotations

from pathlib import Path

from PIL import Image

from edgepress.planning.images import training_images


def test_images_are_those_that_ingest_counted_when_it_has_run() -> None:
    params = {
        "ingest": {"source": {"method": "folder", "path": "nowhere"}},
        "curate": {"keep": 0.5},
    }
    assert training_images(params, {"splits": {"train": 300}}) == 150


def test_images_are_counted_below_the_folder_when_ingest_has_not_run(tmp_path: Path) -> None:
    for index in range(10):
        Image.new("RGB", (2, 2)).save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("no image")
    source = {"method": "folder", "path": str(tmp_path)}
    params = {"ingest": {"source": source, "split": {"val": 0.1, "test": 0.3}, "limit": None}}
    assert training_images(params, {}) == 6
    params["ingest"]["limit"] = 4
    assert training_images(params, {}) == 4


def test_images_are_not_known_when_the_folder_holds_none(tmp_path: Path) -> None:
    source = {"method": "webdataset", "path": str(tmp_path)}
    assert training_images({"ingest": {"source": source}}, {}) is None
