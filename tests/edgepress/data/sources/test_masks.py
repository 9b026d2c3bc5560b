"""The source `masks`: pairs by name, splits by folder, and what has no mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.splits import Fractions
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import Manifest
from edgepress.tasks.task import Task

ENTRY = {"method": "segmentation", "ignore_index": None, "argmax": False}
SPEC = InputSpec(height=8, width=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pictures with masks of three values, the suffix another."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("pictures", "masks"):
        Path(folder).mkdir()
    for number in range(12):
        pixels = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"pictures/{number}.jpg")
        Image.fromarray(pixels[..., 0] // 86).save(f"masks/{number}.png")
    return tmp_path


def ingest(folder: Path, **changes: Any) -> Manifest:
    entry = {"method": "masks", "path": "pictures", "masks": "masks", "above_zero": False}
    entry = {**entry, "classes": ["a", "b", "c"], **changes}
    listing = resolve("data.sources", entry, "params.yaml", "ingest.source")(folder)
    task = Task.open(ENTRY, listing.classes, "test")
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    folder.mkdir(exist_ok=True)
    return build_manifest(listing, folder, rules, Labelling(ENTRY, task.labels), lambda _: None)


def test_truth_is_the_mask_of_the_same_name(pictures: Path) -> None:
    manifest = ingest(pictures / "manifest")
    assert manifest.usable == 12
    assert manifest.task == ENTRY
    images = ImageSet.open(pictures / "manifest", "train")
    task = Task.open(ENTRY, images.classes, "test")
    truth = images.truth(task.labels, SPEC)["mask"]
    first = Image.open(f"masks/{Path(images.ids[0]).stem}.png").resize((8, 8), 0)
    assert (truth[0] == np.asarray(first)).all()


def test_picture_without_a_mask_is_set_aside(pictures: Path) -> None:
    Path("masks/3.png").unlink()
    manifest = ingest(pictures / "manifest")
    assert manifest.usable == 11
    assert manifest.quarantined == {"no label": 1}


def test_masks_and_notes_without_a_picture_are_counted(pictures: Path) -> None:
    Path("pictures/3.jpg").unlink()
    Path("pictures/notes.txt").write_text("three is gone")
    entry = {"method": "masks", "path": "pictures", "masks": "masks", "above_zero": False}
    entry["classes"] = ["a", "b", "c"]
    listing = resolve("data.sources", entry, "params.yaml", "ingest.source")(pictures / "out")
    assert listing.left_out.counts == {"mask without a picture": 1, "no image": 1}
    assert len(list(listing.entries())) == 11


def test_folder_that_looks_like_a_split_is_refused(pictures: Path) -> None:
    for name in ("pictures/1.jpg", "masks/1.png"):
        folder = Path(name).parent / "train_images"
        folder.mkdir()
        Path(name).rename(folder / Path(name).name)
    with pytest.raises(UserError, match="looks like a split; call the folder train"):
        ingest(pictures / "manifest")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "gone"}, "ingest.source.path: gone: no such folder"),
        ({"masks": "gone"}, "ingest.source.masks: gone: no such folder"),
        ({"above_zero": True}, "above_zero knows 2 classes, got 3"),
        ({"classes": ["a"]}, "ingest.source.classes"),
    ],
)
def test_source_refuses_in_one_line(pictures: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        ingest(pictures / "manifest", **changes)
    assert "\n" not in str(caught.value)
