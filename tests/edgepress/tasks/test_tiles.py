"""Tiles of a large picture: where they lie, and how their answers become one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.data.labels import Seen
from edgepress.data.preprocess import fitted, normalise
from edgepress.data.window import Window
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.tasks.detection.decoding import NO_ANSWER
from edgepress.tasks.detection.tiles import answered
from edgepress.tasks.detection.windows import Tiles, windows
from edgepress.tasks.task import Task
from tests.classified import open_task

SPEC = InputSpec(height=48, width=64, channels=1, mean=(0.5,), std=(0.25,))
CLASSES = ("bright", "dark")
TASK = Task.open(
    {
        **{"method": "detection", "strides": [4], "most_objects": 30, "most_answers": 30},
        **{"least_score": 0.05, "overlap": 0.6, "sure": 0.3},
    },
    CLASSES,
    "test",
)
RULES: Any = TASK.answers


def find(images: np.ndarray) -> dict[str, np.ndarray]:
    """A network that boxes the bright pixels of a tile, as many of them as it sees."""
    raw = {
        each.name: np.full((len(images), *each.shape[1:]), -9.0, np.float32)
        for each in RULES.outputs(SPEC)
    }
    for item, image in enumerate(images):
        rows, columns = np.nonzero(image[0] > 1.9)
        if len(rows):
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            column, row = (((box[:2] + box[2:]) / 2) // 4).astype(int)
            middle = (np.array([column, row]) + 0.5) * 4
            far = np.concatenate([middle - box[:2], box[2:] - middle]) / 4
            raw["boxes_4"][item, :, row, column] = np.log(np.maximum(far, 1e-3))
            # A part of it looks surer than the whole: the worst case of merging.
            raw["scores_4"][item, 0, row, column] = 4.0 if len(rows) < 120 else 2.0
    return raw


def picture(box: tuple[int, int, int, int], size: tuple[int, int] = (200, 130)) -> Image.Image:
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("size", [(200, 130), (64, 48), (65, 48), (40, 300)])
def test_tiles_cover_every_pixel_and_overlap_as_asked(
    size: tuple[int, int], overlap: float
) -> None:
    found = windows(size, SPEC, Tiles(overlap=overlap, whole=False))
    seen = np.zeros((size[1], size[0]), bool)
    for each in found:
        seen[each.top : each.bottom, each.left : each.right] = True
        assert each.size == (min(64, size[0]), min(48, size[1]))
    assert seen.all()
    lefts = sorted({each.left for each in found})
    assert all(b - a <= 64 * (1 - overlap) + 1 for a, b in zip(lefts, lefts[1:], strict=False))


def test_whole_picture_is_one_window_more_unless_it_is_the_only_tile() -> None:
    tiles = Tiles(overlap=0.2, whole=True)
    assert windows((200, 130), SPEC, tiles)[-1] == Window(0, 0, 200, 130)
    assert windows((64, 48), SPEC, tiles) == [Window(0, 0, 64, 48)]


@pytest.mark.parametrize("box", [(10, 10, 22, 21), (60, 44, 72, 55), (100, 70, 113, 84)])
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_one_object_is_one_box_in_the_pictures_pixels_wherever_tiles_cut_it(
    box: tuple[int, int, int, int], fit: str
) -> None:
    spec = SPEC.model_copy(update={"fit": fit})
    found = answered(picture(box), spec, RULES, Tiles(overlap=0.4, whole=False), find)
    assert found["category"][0, :2].tolist() == [0, -1]
    assert np.allclose(found["boxes"][0, 0], box, atol=1e-2)


def test_box_at_the_pictures_own_border_stays() -> None:
    found = answered(
        picture((190, 120, 200, 130)), SPEC, RULES, Tiles(overlap=0.3, whole=False), find
    )
    assert np.allclose(found["boxes"][0, 0], [190, 120, 200, 130], atol=1e-2)


def test_picture_smaller_than_a_tile_is_answered_as_ever() -> None:
    small = picture((10, 8, 20, 19), (64, 48))
    found = answered(small, SPEC, RULES, Tiles(overlap=0.4, whole=True), find)
    pixels = np.asarray(small)[None, ..., None]
    plain = RULES.decode(find(normalise(pixels, SPEC)), SPEC)
    assert all(np.allclose(found[name], plain[name]) for name in plain)


def test_picture_has_no_answer_when_one_tile_has_none() -> None:
    def broken(images: np.ndarray) -> dict[str, np.ndarray]:
        raw = find(images)
        raw["boxes_4"][-1, 0, 0, 0] = np.inf
        return raw

    tiles = Tiles(overlap=0.3, whole=False)
    found = answered(picture((10, 10, 22, 21)), SPEC, RULES, tiles, broken)
    assert found["category"][0, :2].tolist() == [NO_ANSWER, -1]


def tiled(**tiles: Any) -> Task:
    entry = {**TASK.entry, "tiles": {"overlap": 0.4, "whole": False, **tiles}}
    return Task.open(entry, CLASSES, "f")


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_parts_of_the_task_answer_in_pixels_of_the_input_where_the_truth_is(fit: str) -> None:
    spec, box = SPEC.model_copy(update={"fit": fit}), (100, 70, 113, 84)
    image, task = picture(box), tiled()
    rules = task.parts
    assert rules is not None
    parts = rules.windows(image.size, spec)
    pixels = np.stack([fitted(each.of(image), spec) for each in parts])
    found = rules.merged(RULES.decode(find(normalise(pixels, spec)), spec), image.size, spec)
    thing = {"category": 0, "box": list(box), "rings": None, "points": None, "area": None}
    label = {"width": image.width, "height": image.height, "relative": False}
    objects = [{**thing, "crowd": False, "ignore": False}]
    kept = task.labels.admit({**label, "objects": objects}, Seen(*image.size), _no_file)
    truth = task.labels.truth(kept.label, spec, _no_file)
    assert np.allclose(found["boxes"][0, 0], truth["boxes"][0, 0], atol=1e-2)
    assert not found["boxes"][0, 1:].any()
    assert task.answers.first_score(found, truth) == pytest.approx(1.0)


def test_picture_that_fits_is_answered_as_ever_when_the_task_has_tiles() -> None:
    rules = tiled(whole=True).parts
    assert rules is not None
    assert rules.windows((64, 48), SPEC) == [Window(0, 0, 64, 48)]
    pixels = np.asarray(picture((9, 9, 19, 20), (64, 48)))[None, ..., None]
    plain = RULES.decode(find(normalise(pixels, SPEC)), SPEC)
    assert rules.merged(plain, (64, 48), SPEC) is plain


def test_task_has_no_parts_when_params_name_no_tiles() -> None:
    assert TASK.parts is None
    assert TASK.entry["tiles"] is None
    assert open_task(("a", "b")).parts is None


def test_tiles_are_refused_in_one_line_when_they_overlap_too_much() -> None:
    with pytest.raises(UserError, match=r"^f: task.tiles.overlap: .*0\.8.*$"):
        tiled(overlap=0.9)


def _no_file(path: str) -> bytes:
    raise AssertionError(path)
