"""An export's answers to a user's pictures: words, JSON in the pictures' pixels, drawings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress import cli
from edgepress.data.placement import Frame, placement
from edgepress.records.target import Target
from edgepress.tasks.detection import boxes
from tests import learnt, shapes, spots


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return learnt.detector(tmp_path / learnt.KEY).folder


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[shapes.Shapes, list[Path]]:
    """Twenty wide pictures that were not learnt from, as files."""
    items, folder = shapes.shapes(20, 7), tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{index:02}.png" for index in range(len(items.pictures))]
    for path, picture in zip(paths, items.pictures, strict=True):
        Image.fromarray(picture).save(path)
    return items, paths


def predict(*arguments: object) -> int:
    return cli.main(["predict", *map(str, arguments)])


def answers(path: Path) -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = json.loads(path.read_text())["answers"]
    return held


def truths(items: shapes.Shapes, row: int) -> tuple[np.ndarray, list[str]]:
    """Return the boxes of a picture in its own pixels, and their classes."""
    there = items.truth["category"][row] >= 0
    height, width = items.pictures[row].shape[:2]
    frame = Frame((width, height), placement((width, height), shapes.SPEC))
    names = [shapes.CLASSES[index] for index in items.truth["category"][row][there]]
    return frame.boxes(items.truth["boxes"][row][there]), names


def test_boxes_lie_on_the_objects_in_the_pictures_pixels_when_letterboxed(
    detector: Path, pictures: tuple[shapes.Shapes, list[Path]], tmp_path: Path
) -> None:
    items, paths = pictures
    assert predict(detector, *paths, "--json", tmp_path / "a.json") == 0
    found, hits, total = answers(tmp_path / "a.json"), 0, 0
    for row, answer in enumerate(found):
        height, width = items.pictures[row].shape[:2]
        assert (answer["width"], answer["height"]) == (width, height)
        assert answer["image"] == str(paths[row])
        real, names = truths(items, row)
        sure = [each for each in answer["objects"] if each["sure"]]
        mine = np.array([each["box"] for each in sure]).reshape(-1, 4)
        near = boxes.overlaps(real, mine)
        named = np.array([[name == each["class"] for each in sure] for name in names], bool)
        hits += int(((near > 0.5) & named.reshape(near.shape)).any(axis=1).sum())
        total += len(real)
    assert hits > 0.6 * total


def test_answers_are_those_of_validation_when_decoded(
    detector: Path, pictures: tuple[shapes.Shapes, list[Path]], tmp_path: Path
) -> None:
    import onnxruntime

    items, paths = pictures
    predict(detector, *paths[:4], "--json", tmp_path / "a.json")
    session = onnxruntime.InferenceSession(detector / "model.onnx")
    for row, answer in enumerate(answers(tmp_path / "a.json")):
        raw = session.run(shapes.OUTPUTS, {"image": items.inputs()[row : row + 1]})
        decoded = shapes.TASK.answers.decode(
            dict(zip(shapes.OUTPUTS, raw, strict=True)), shapes.SPEC
        )
        there = decoded["category"][0] >= 0
        scores = np.array([each["score"] for each in answer["objects"]])
        np.testing.assert_allclose(scores, np.sort(decoded["scores"][0][there])[::-1], rtol=1e-5)


def test_drawings_keep_the_pictures_size_and_show_boxes_where_json_has_them(
    detector: Path, pictures: tuple[shapes.Shapes, list[Path]], tmp_path: Path
) -> None:
    items, paths = pictures
    out = tmp_path / "drawn"
    assert predict(detector, *paths[:3], "--draw", out, "--json", tmp_path / "a.json") == 0
    for row, answer in enumerate(answers(tmp_path / "a.json")):
        drawn = np.asarray(Image.open(out / f"{paths[row].name}.png"))
        changed = (drawn != items.pictures[row]).any(axis=2)
        assert drawn.shape == items.pictures[row].shape
        near = np.zeros(changed.shape, bool)
        for each in answer["objects"]:
            left, top, right, bottom = (round(value) for value in each["box"])
            near[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] |= each["sure"]
        assert changed.any()
        assert not changed[~near].any()


def test_others_are_answered_and_counted_when_some_pictures_are_bad(
    detector: Path,
    pictures: tuple[shapes.Shapes, list[Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(pictures[1][0].read_bytes()[:80])
    missing = tmp_path / "missing.png"
    assert predict(detector, torn, pictures[1][0], missing, "--json", tmp_path / "a.json") == 2
    said, told = capsys.readouterr()
    assert said.splitlines()[-1] == "1 answered, 2 not"
    assert said.startswith(f"{pictures[1][0]}: ")
    assert [line.split(": ")[0] for line in told.splitlines()] == [str(torn), str(missing)]
    assert "No such file" in told
    kept = answers(tmp_path / "a.json")
    assert [("error" in each, each["image"]) for each in kept] == [
        (True, str(torn)),
        (False, str(pictures[1][0])),
        (True, str(missing)),
    ]


def test_a_folders_pictures_are_answered_when_it_is_named(
    detector: Path,
    pictures: tuple[shapes.Shapes, list[Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = pictures[1][0].parent
    (folder / "notes.txt").write_text("hello")
    assert predict(detector, folder) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == "20 answered, 0 not; left out: 1 no image (notes.txt)"
    )


def test_a_turned_photograph_gets_the_upright_ones_answer(
    detector: Path, pictures: tuple[shapes.Shapes, list[Path]], tmp_path: Path
) -> None:
    turned, exif = tmp_path / "turned.png", Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    upright = Image.open(pictures[1][0])
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    predict(detector, pictures[1][0], turned, "--json", tmp_path / "a.json")
    first, second = answers(tmp_path / "a.json")
    assert {**second, "image": ""} == {**first, "image": ""}


def test_points_inside_a_detectors_boxes_are_told_in_the_whole_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items, corners = spots.spots(2, 5), [(40, 10), (5, 60)]
    canvas = np.zeros((100, 90, 3), np.uint8)
    rows = []
    for pixels, (left, top) in zip(items.pixels, corners, strict=True):
        canvas[top : top + spots.SIDE, left : left + spots.SIDE] = pixels
        # Grown by the task's margin on every side, the box is the picture that was learnt.
        inner = spots.SIDE / 1.5
        low = np.array([left, top]) + 0.25 * inner
        box = [*low.tolist(), *(low + inner).tolist()]
        rows.append({"class": "mouse", "score": 0.9, "sure": True, "box": box})
    unsure = {**rows[0], "sure": False}
    picture, file = tmp_path / "two.png", tmp_path / "boxes.json"
    Image.fromarray(canvas).save(picture)
    file.write_text(json.dumps({"answers": [{"image": str(picture), "objects": [*rows, unsure]}]}))
    pose, out = learnt.pose(tmp_path / "pose").folder, tmp_path / "a.json"

    assert predict(pose, picture, "--boxes", file, "--json", out, "--draw", tmp_path / "d") == 0
    (answer,) = answers(out)
    assert len(answer["objects"]) == 2
    for index, (found, corner) in enumerate(zip(answer["objects"], corners, strict=True)):
        assert found["box"] == rows[index]["box"]
        mine = np.array([[each["x"], each["y"]] for each in found["points"].values()])
        real = items.truth["points"][index] + np.array(corner)
        assert np.median(np.linalg.norm(mine - real, axis=1)) < 2
    assert (tmp_path / "d" / "two.png.png").is_file()

    assert predict(pose, picture) == 2
    assert "give --boxes FILE" in capsys.readouterr().err
    assert predict(pose, picture, tmp_path / "other.png", "--boxes", file) == 2
    assert "boxes.json has no boxes of it" in capsys.readouterr().err


def test_command_refuses_boxes_when_whole_pictures_are_answered(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.json").write_text('{"answers": []}')
    assert predict(detector, tmp_path / "x.png", "--boxes", tmp_path / "b.json") == 2
    assert "answers whole pictures; leave --boxes out" in capsys.readouterr().err
    (tmp_path / "b.json").write_text("{}")
    assert predict(detector, tmp_path / "x.png", "--boxes", tmp_path / "b.json") == 2
    assert "b.json: holds no boxes (no 'answers')" in capsys.readouterr().err


def test_key_is_looked_up_and_the_nearest_named_when_there_is_none(
    tmp_path: Path,
    pictures: tuple[shapes.Shapes, list[Path]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "targets" / "exported").mkdir(parents=True)
    learnt.detector(tmp_path / "targets" / "exported" / learnt.KEY)
    assert predict(learnt.KEY, pictures[1][0]) == 0
    assert predict("x86_64-onxruntime-fp32", pictures[1][0]) == 2
    assert f"did you mean {learnt.KEY}?" in capsys.readouterr().err


def test_command_names_the_runtime_when_it_is_not_installed(
    detector: Path,
    pictures: tuple[shapes.Shapes, list[Path]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert predict(detector, pictures[1][0]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "x86_64-onnxruntime-fp32: its runtime cannot be imported" in line
    assert "edgepress doctor" in line


def test_the_graph_answers_and_says_so_when_the_device_is_not_here(
    tmp_path: Path,
    pictures: tuple[shapes.Shapes, list[Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from edgepress.records.exported import Exported

    folder = learnt.detector(tmp_path / "jetson").folder
    target = Target.parse("jetson-tensorrt-fp32")
    Exported.read(folder).model_copy(update={"target": target}).write(folder)
    assert predict(folder, pictures[1][0]) == 0
    assert "its graph answers" in capsys.readouterr().err


def test_command_refuses_outputs_that_cannot_be_before_it_answers(
    detector: Path,
    pictures: tuple[shapes.Shapes, list[Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = pictures[1][0]
    for flag, place in (("--draw", picture.parent), ("--json", tmp_path)):
        assert predict(detector, picture, flag, place) == 2
    assert predict(detector, picture, "--json", tmp_path / "no" / "a.json") == 2
    assert predict(detector, picture, "--threads", 0) == 2
    out, told = capsys.readouterr()
    assert out == ""
    assert len(told.splitlines()) == 4
