"""Points inside boxes: from a COCO file with several objects a picture to items, and back again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.data import images as image_set
from edgepress.data.groups import Grouping
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.labels import Instances, Seen
from edgepress.data.picture import UnusableError, open_picture
from edgepress.data.sources import coco, digit_scenes
from edgepress.data.splits import Fractions
from edgepress.data.table import read_table
from edgepress.data.window import Window
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import SPLITS, Manifest
from edgepress.records.tensors import Arrays
from edgepress.tasks.keypoints.inside import answered, placed, windows
from edgepress.tasks.task import Task
from tests.detected import listed

ENTRY: dict[str, Any] = {
    "method": "keypoints",
    "points": ["nose", "left", "right"],
    "swaps": [["left", "right"]],
    "sigmas": 0.05,
    "tolerance": 0.1,
    "sure": 0.5,
    "form": "heatmap",
    "stride": 4,
    "blur": 1.5,
    "inside": {"margin": 0.25},
}
TASK = Task.open(ENTRY, ("cow",), "test")
RULES: Any = TASK.answers
PARAMS: Any = TASK.params
SPEC = InputSpec(
    height=48, width=64, channels=1, mean=(0.5,), std=(0.25,), resize="nearest", fit="letterbox"
)
WIDE, HIGH = 120, 90
OBJECTS: list[dict[str, Any]] = [
    {"bbox": [10, 8, 40, 30], "keypoints": [20, 15, 2, 12, 30, 2, 45, 33, 1], "num_keypoints": 3},
    {"bbox": [0, 0, 120, 90], "keypoints": [], "iscrowd": 1},
    {"bbox": [70, 40, 20, 44], "keypoints": [75, 45, 2, 0, 0, 0, 88, 80, 2], "num_keypoints": 2},
    {"bbox": [60, 5, 12, 12], "keypoints": [0] * 9, "num_keypoints": 0},
    {"bbox": [100, 60, 10, 10], "keypoints": [101, 61, 2, 104, 66, 2, 40, 60, 2]},
]
"""Two whole ones (1 and 3), and one with a point far outside its box (5)."""
CROPS = {1: (0, 0, 60, 48), 3: (59, 29, 101, 90), 5: (97, 57, 113, 73)}
TURNED = 6
"""EXIF: the file's rows lie so that it has to be turned right by 90 degrees."""


def no_file(path: str) -> bytes:
    raise AssertionError(path)


def canvas(number: int) -> Image.Image:
    """Return an upright picture with a bright square around every point that has a label."""
    pixels = np.random.default_rng(number).integers(0, 60, (HIGH, WIDE)).astype(np.uint8)
    for each in OBJECTS:
        for x, y, visible in np.reshape(each["keypoints"], (-1, 3)):
            if visible:
                pixels[y - 2 : y + 2, x - 2 : x + 2] = 255
    return Image.fromarray(pixels)


def write_cows(root: Path, count: int) -> None:
    """Write a COCO set whose odd pictures lie on their sides; its labels are of upright ones."""
    root.mkdir()
    for number in range(count):
        upright, exif = canvas(number), Image.Exif()
        if number % 2:
            exif[0x0112] = TURNED
            upright = upright.transpose(Image.Transpose.ROTATE_90)
        upright.save(root / f"{number:02}.png", exif=exif)
    size = {"width": WIDE, "height": HIGH}
    held = {
        "images": [{"id": n, "file_name": f"{n:02}.png", **size} for n in range(count)],
        "categories": [{"id": 1, "name": "cow"}],
        "annotations": [
            {"id": 10 * n + at, "image_id": n, "category_id": 1, "area": 100, **each}
            for n in range(count)
            for at, each in enumerate(OBJECTS)
        ],
    }
    (root / "cows.json").write_text(json.dumps(held))


def ingest(root: Path, out: Path, limit: int | None = None, **split: Any) -> tuple[Manifest, Any]:
    listing = coco.ingest(out, params=coco.Params(method="coco", path=str(root), annotations=None))
    rules = Rules(split=Fractions(val=0.2, test=0.3, **split), limit=limit)
    manifest = build_manifest(listing, out, rules, Labelling(TASK.entry, TASK.labels))
    return manifest, listing.left_out


@pytest.fixture(scope="module")
def cows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cows") / "set"
    write_cows(root, 20)
    return root


@pytest.fixture(scope="module")
def manifest(cows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("manifest") / "manifest"
    found, left_out = ingest(cows, out)
    assert found.groups is not None
    assert found.groups.model_dump() == {"by": "picture", "groups": 20, "largest": 3, "alone": 0}
    assert (found.usable, found.quarantined) == (60, {})
    assert dict(left_out.counts) == {
        "crowd or object not to be judged": 20,
        "object without a labelled point in its crop": 20,
        "point outside its object's crop": 20,
    }
    return out


def test_every_object_is_a_row_with_its_own_crop_when_a_picture_has_several(manifest: Path) -> None:
    rows = read_table(manifest).to_pylist()
    assert [row["id"] for row in rows[:4]] == ["00.png#1", "00.png#3", "00.png#5", "01.png#1"]
    for row in rows:
        left, top, right, bottom = row["crop"]
        assert (left, top, right, bottom) == CROPS[int(row["id"][-1])]
        assert (row["width"], row["height"]) == (right - left, bottom - top)
        assert row["group"] == row["id"].partition("#")[0]
    assert {row["id"][-1]: row["label"]["visible"] for row in rows} == {
        "1": [2, 2, 1],
        "3": [2, 0, 2],
        "5": [2, 2, 0],
    }
    shown = {(row["sha256"], row["phash"]) for row in rows}
    assert (len(shown), len({sha256 for sha256, _ in shown})) == (60, 20)


def test_objects_of_a_picture_stay_in_one_split_and_one_group(manifest: Path) -> None:
    splits: dict[str, set[str]] = {}
    for split in SPLITS:
        images = ImageSet.open(manifest, split)
        pictures = [name.partition("#")[0] for name in images.ids]
        for name in pictures:
            splits.setdefault(name, set()).add(split)
        assert images.groups is not None
        assert np.bincount(images.groups).tolist() == [3] * len(set(pictures))
        assert len({*zip(pictures, images.groups.tolist(), strict=True)}) == len(set(pictures))
    assert all(len(each) == 1 for each in splits.values())
    assert len({*map(tuple, splits.values())}) == 3


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_points_lie_on_their_pixels_when_items_are_cut_turned_and_fitted(
    fit: str, manifest: Path
) -> None:
    spec = SPEC.model_copy(update={"fit": fit})
    images = ImageSet.open(manifest)
    truth = images.truth(TASK.labels, spec)
    for pixels, points, visible in zip(
        images.pixels(spec), truth["points"], truth["visible"], strict=True
    ):
        for x, y in points[visible > 0]:
            assert pixels[int(y), int(x), 0] == 255
        assert 0 < (pixels == 255).mean() < 0.3


def test_file_is_decoded_once_when_its_items_come_together(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, times = ImageSet.open(manifest), Counter[str]()
    whole = image_set.decoded

    def counted(data: bytes, *more: Any) -> Any:
        times["decoded"] += 1
        return whole(data, *more)

    monkeypatch.setattr(image_set, "decoded", counted)
    every = images.pixels(SPEC)
    assert times["decoded"] == 20
    for rows in ([4], [7, 8], [0, 4, 2]):
        assert np.array_equal(images.take(rows).pixels(SPEC), every[rows])


def test_crops_count_when_it_is_asked_what_images_show(
    manifest: Path, cows: Path, tmp_path: Path
) -> None:
    wider = Task.open({**ENTRY, "inside": {"margin": 0.3}}, ("cow",), "test")
    params = coco.Params(method="coco", path=str(cows), annotations=None)
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    listing = coco.ingest(tmp_path / "out", params=params)
    build_manifest(listing, tmp_path / "out", rules, Labelling(wider.entry, wider.labels))
    one, other = ImageSet.open(manifest, "train"), ImageSet.open(tmp_path / "out", "train")
    assert (one.ids, one.sha256) == (other.ids, other.sha256)
    assert one.digest() != other.digest()
    assert one.digest() == ImageSet.open(manifest, "train").digest()


@pytest.mark.parametrize("split", [{}, {"group": Grouping(by="near_duplicate", bits=0)}])
def test_limit_takes_at_most_so_many_items_of_whole_pictures_but_the_last(
    split: dict[str, Any], cows: Path, tmp_path: Path
) -> None:
    found, _ = ingest(cows, tmp_path / "out", limit=4, **split)
    assert found.items == {"train": 4, "val": 4, "test": 4}
    names = Counter(row["group"] for row in read_table(tmp_path / "out").to_pylist())
    assert sorted(names.values()) == [1, 1, 1, 3, 3, 3]


def test_points_come_back_to_their_places_in_the_picture(manifest: Path) -> None:
    images = ImageSet.open(manifest, "test")
    truth = images.truth(TASK.labels, SPEC)
    parts = [crop for crop in images.crops if crop is not None]
    found = placed(truth["points"], parts, SPEC)
    for name, visible, points in zip(images.ids, truth["visible"], found, strict=True):
        said = np.reshape(OBJECTS[int(name[-1]) - 1]["keypoints"], (3, 3))[:, :2]
        assert np.abs(points - said)[visible > 0].max() < 1e-3


def test_window_of_an_item_lies_in_its_crop(manifest: Path) -> None:
    images = ImageSet.open(manifest, "test")
    for index, (size, whole) in enumerate(zip(images.sizes, images.decoded(SPEC), strict=True)):
        (cut,) = images.cut(index, [Window(0, 0, *size)], SPEC)
        np.testing.assert_array_equal(cut, whole)


def network(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs that every pixel counts in: sums of blocks, another part of each for each point."""
    blocks = pixels.reshape(len(pixels), 12, 4, 16, 4)
    return {"heatmaps": np.stack([blocks[:, :, at].sum(-1) for at in range(3)], axis=1)}


def test_picture_is_answered_as_its_items_are_one_by_one(manifest: Path, cows: Path) -> None:
    images = ImageSet.open(manifest)
    for number in (4, 7):  # upright, and turned by its EXIF
        rows = [row for row, name in enumerate(images.ids) if name.startswith(f"{number:02}.png")]
        items = images.take(rows)
        each = [RULES.decode(network(batch), SPEC) for batch in items.batches(SPEC, 1)]
        picture = open_picture((cows / f"{number:02}.png").read_bytes()).image
        assert picture.size == (WIDE, HIGH)
        boxes = np.array([OBJECTS[int(name[-1]) - 1]["bbox"] for name in items.ids], float)
        boxes[:, 2:] += boxes[:, :2]
        found = answered(picture, boxes, SPEC, RULES, network)
        for row, (alone, crop) in enumerate(zip(each, items.crops, strict=True)):
            assert crop is not None
            assert np.array_equal(found["scores"][row], alone["scores"][0])
            assert np.array_equal(found["points"][row], placed(alone["points"], [crop], SPEC)[0])
        assert len(np.unique(found["points"].reshape(-1, 2), axis=0)) > 6


def test_object_has_no_answer_when_its_outputs_are_not_finite() -> None:
    def broken(pixels: np.ndarray) -> Arrays:
        raw = network(pixels)
        raw["heatmaps"][1, 2, 3, 4] = np.nan
        return raw

    boxes = np.array([[10, 8, 50, 38], [70, 40, 90, 84]])
    found = answered(canvas(0), boxes, SPEC, RULES, broken)
    assert np.isfinite(found["points"][0]).all()
    assert np.isnan(found["points"][1]).all()
    assert (found["scores"][1] == -1).all()


def test_nothing_is_run_when_there_is_no_box() -> None:
    found = answered(canvas(0), np.zeros((0, 4)), SPEC, RULES, no_file)  # type: ignore[arg-type]
    assert (found["points"].shape, found["scores"].shape) == ((0, 3, 2), (0, 3))


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([[1, 2, 30, 40], [130, 5, 150, 9]], "boxes: row 1: 130, 5, 150, 9 has no area in a"),
        ([[5, 5, 5, 9]], "row 0: 5, 5, 5, 9 has no area in a picture of 120 x 90; leave it out"),
        ([[np.nan, 5, 9, 9]], "row 0: nan, 5, 9, 9 has no area"),
    ],
)
def test_box_is_refused_in_one_line_when_there_is_nothing_in_it(boxes: Any, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        windows(np.array(boxes, float), (WIDE, HIGH), PARAMS)
    assert "\n" not in str(refused.value)


def test_boxes_are_refused_when_the_task_takes_whole_pictures() -> None:
    whole: Any = Task.open({**ENTRY, "inside": None}, ("cow",), "test").params
    with pytest.raises(UserError, match="task.inside: null"):
        windows(np.zeros((0, 4)), (WIDE, HIGH), whole)


def thing(points: list[float], **changed: Any) -> dict[str, Any]:
    plain = {"category": 0, "box": [2, 4, 62, 44], "rings": None, "area": None}
    return {**plain, "crowd": False, "ignore": False, "points": points, **changed}


def admit(*objects: dict[str, Any]) -> Any:
    label = {"width": None, "height": None, "relative": False, "objects": list(objects)}
    return TASK.labels.admit(label, Seen(64, 48), no_file)


def test_what_is_no_item_is_left_out_by_its_rule() -> None:
    good = [10.5, 8, 2, 4, 16.25, 2, 22, 17, 1]
    found = admit(
        thing(good, crowd=True), thing([0.0] * 9), thing([]), thing(good), thing(good, ignore=True)
    )
    assert [part.number for part in found.instances] == [4]
    assert found.instances[0].admitted.classes == (0,)
    assert Counter(found.left_out) == {
        "crowd or object not to be judged": 2,
        "object without a labelled point in its crop": 2,
    }
    assert admit() == Instances((), ("picture without an object to look at",))


def test_picture_is_refused_with_the_object_when_the_points_are_not_the_tasks() -> None:
    with pytest.raises(UnusableError, match="label: object 2 has 2 points, task.points names 3"):
        admit(thing([10.5, 8, 2, 4, 16.25, 2, 22, 17, 1]), thing([1, 2, 2, 3, 4, 2]))


def test_run_stops_with_what_was_left_out_when_no_object_has_points(
    cows: Path, tmp_path: Path
) -> None:
    held = json.loads((cows / "cows.json").read_text())
    for each in held["annotations"]:
        del each["keypoints"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in cows.glob("*.png"):
        (copy / path.name).symlink_to(path)
    (copy / "boxes.json").write_text(json.dumps(held))
    with pytest.raises(UserError, match="no usable image; left out were 80 object without a label"):
        ingest(copy, tmp_path / "out")


def test_lines_of_yolo_give_the_items_that_coco_gives(
    manifest: Path, cows: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    lines = []
    for each in OBJECTS:
        left, top, width, height = each["bbox"]
        shares = [left + width / 2, top + height / 2, width, height]
        values = [value / side for value, side in zip(shares, [WIDE, HIGH] * 2, strict=True)]
        for x, y, visible in np.reshape(each["keypoints"] or [0] * 9, (3, 3)).tolist():
            values += [x / WIDE, y / HIGH, visible]
        lines.append(" ".join(map(str, [0, *values])))
    for path in cows.glob("*.png"):
        (root / "images" / path.name).symlink_to(path)
        (root / "labels" / f"{path.stem}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("train: images\nnames: [cow]\nkpt_shape: [3, 3]\n")
    entry = {"method": "yolo", "path": str(root), "description": None}
    found = listed(entry, tmp_path / "out")
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    build_manifest(found, tmp_path / "out", rules, Labelling(TASK.entry, TASK.labels))
    assert found.left_out.counts["object without a labelled point in its crop"] == 40
    ours = read_table(tmp_path / "out").to_pylist()
    theirs = read_table(manifest).to_pylist()
    assert [row["id"].removeprefix("images/") for row in ours] == [row["id"] for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert (one["crop"], one["sha256"]) == (other["crop"], other["sha256"])
        assert one["label"]["visible"] == other["label"]["visible"]
        assert np.allclose(one["label"]["points"], other["label"]["points"], atol=1e-4)


def test_frames_of_deeplabcut_are_cut_around_the_box_of_their_points(tmp_path: Path) -> None:
    frames = tmp_path / "project/labeled-data/cow"
    frames.mkdir(parents=True)
    rows = [
        "scorer" + ",Ada" * 6,
        "bodyparts,nose,nose,left,left,right,right",
        "coords" + ",x,y" * 3,
    ]
    for number in range(16):
        canvas(number).save(frames / f"img{number:02}.png")
        rows.append(f"labeled-data/cow/img{number:02}.png,19.5,14.5,11.5,29.5,,")
    (frames / "CollectedData_Ada.csv").write_text("\n".join(rows))
    entry = {
        **{"method": "deeplabcut", "path": str(tmp_path / "project"), "category": "cow"},
        **{"points": ENTRY["points"], "margin": 4},
    }
    found = listed(entry, tmp_path / "out")
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    build_manifest(found, tmp_path / "out", rules, Labelling(TASK.entry, TASK.labels))
    row = read_table(tmp_path / "out").to_pylist()[0]
    assert row["id"].endswith("img00.png#1")
    assert row["crop"] == [2, 5, 30, 40]  # 8, 11 to 24, 34 and a quarter of 23
    assert row["label"]["visible"] == [2, 2, 0]
    assert np.allclose(row["label"]["points"][:2], [[18, 10], [10, 25]])


@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_several_digits_of_a_canvas_are_items_with_all_their_points(
    margin: float, tmp_path: Path
) -> None:
    points = ["top", "right", "bottom", "left"]
    entry = {**ENTRY, "points": points, "swaps": [], "inside": {"margin": margin}}
    task = Task.open(entry, tuple("0123456789"), "test")
    params = digit_scenes.Params(method="digit_scenes", scenes=60, side=64, least=0, most=4)
    listing = digit_scenes.ingest(tmp_path, params=params)
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    on_canvas = [len(entry.label["objects"]) for entry in listing.entries()]
    found = build_manifest(listing, tmp_path, rules, Labelling(task.entry, task.labels))
    assert found.usable == sum(on_canvas)
    assert listing.left_out.counts["picture without an object to look at"] == on_canvas.count(0)
    assert found.groups is not None
    assert (found.groups.largest, found.groups.alone) == (max(on_canvas), 0)
    images = ImageSet.open(tmp_path)
    assert (images.truth(task.labels, SPEC)["visible"] == 2).all()
    # The ink that a point is the end of is in the crop, whatever the margin.
    assert (images.pixels(SPEC).max(axis=(1, 2, 3)) > 95).all()
