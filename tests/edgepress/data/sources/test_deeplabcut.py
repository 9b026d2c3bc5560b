"""The source `deeplabcut`: tables beside frames, in both shapes, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.listing import Listing
from edgepress.data.splits import Fractions
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.manifest import Manifest
from edgepress.tasks.task import Task

ENTRY: dict[str, Any] = {
    "method": "keypoints",
    "points": ["snout", "tailbase", "leftear"],
    "swaps": [],
    "sigmas": 0.05,
    "tolerance": 0.1,
    "sure": 0.3,
    "form": "heatmap",
    "stride": 2,
    "blur": 1.0,
}
SPEC = InputSpec(height=48, width=64, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
PARTS = ("snout", "leftear", "tailbase")
FRAMES = 12
Cells = list[list[str]]


def places(number: int) -> list[tuple[float, float]]:
    return [(10.0 + number, 8.5), (14.25 + number, 11.0), (30.0 + number, 40.0)]


def table(three: bool = False, folder: str = "mouse1") -> Cells:
    """Return a table as DeepLabCut writes it, the frame's path in one column or in three."""
    lead = ["", ""] if three else []
    head = [["scorer", *lead, *["Ada"] * 6]]
    head.append(["bodyparts", *lead, *(part for part in PARTS for _ in "xy")])
    head.append(["coords", *lead, *["x", "y"] * 3])
    rows = []
    for number in range(FRAMES):
        parts = ["labeled-data", folder, f"img{number:03}.png"]
        where = parts if three else ["/".join(parts)]
        rows.append([*where, *(str(value) for place in places(number) for value in place)])
    return [*head, *rows]


def write(cells: Cells, folder: str = "mouse1", name: str = "CollectedData_Ada.csv") -> None:
    path = Path("project/labeled-data") / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_text("\n".join(",".join(row) for row in cells) + "\n")


@pytest.fixture(autouse=True)
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve frames of 64 x 48, each unlike the others."""
    monkeypatch.chdir(tmp_path)
    folder = Path("project/labeled-data/mouse1")
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(FRAMES):
        pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"img{number:03}.png")


def listing(**changes: Any) -> Listing:
    entry = {"method": "deeplabcut", "path": "project", "category": "mouse", "margin": 4}
    entry = {**entry, "points": ENTRY["points"], **changes}
    found: Listing = resolve("data.sources", entry, "params.yaml", "ingest.source")(Path("out"))
    return found


def ingest(**changes: Any) -> Manifest:
    made = listing(**changes)
    task = Task.open(ENTRY, made.classes, "test")
    rules = Rules(split=Fractions(val=0.2, test=0.3), limit=None)
    return build_manifest(made, Path("manifest"), rules, Labelling(ENTRY, task.labels))


@pytest.mark.parametrize("three", [False, True], ids=["one column", "three columns"])
def test_points_are_those_of_the_table_in_the_order_asked_for(three: bool) -> None:
    write(table(three))
    assert ingest().usable == FRAMES
    images = ImageSet.open(Path("manifest"))
    truth = images.truth(Task.open(ENTRY, images.classes, "test").labels, SPEC)
    number = int(Path(images.ids[0]).stem.removeprefix("img"))
    snout, leftear, tail = places(number)
    # 0 is the middle of the first pixel in the table, its corner in ours.
    expected = np.array([snout, tail, leftear]) + 0.5
    assert truth["points"][0] == pytest.approx(expected)
    assert (truth["visible"] == 2).all()
    assert truth["size"][0, 0] == pytest.approx(40 - 8.5 + 2 * 4)


def test_ids_name_the_frames_below_the_project() -> None:
    write(table())
    assert [entry.id for entry in listing().entries()][:2] == [
        "labeled-data/mouse1/img000.png",
        "labeled-data/mouse1/img001.png",
    ]


def test_paths_are_read_when_a_windows_machine_wrote_them() -> None:
    cells = table()
    write([[row[0].replace("/", "\\"), *row[1:]] for row in cells])
    assert ingest().usable == FRAMES


@pytest.mark.parametrize("empty", ["", "NaN"])
def test_body_part_without_numbers_is_not_labelled(empty: str) -> None:
    cells = table()
    cells[3][1:3] = [empty, empty]
    write(cells)
    assert ingest().usable == FRAMES
    images = ImageSet.open(Path("manifest"))
    truth = images.truth(Task.open(ENTRY, images.classes, "test").labels, SPEC)
    row = images.ids.index("labeled-data/mouse1/img000.png")
    assert truth["visible"][row].tolist() == [0, 2, 2]


def test_frame_with_one_labelled_point_has_a_box_when_there_is_a_margin() -> None:
    cells = table()
    cells[3][1:5] = [""] * 4
    write(cells)
    assert ingest().usable == FRAMES


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (["labeled-data/mouse1/img000.png", *[""] * 6], "no label"),
        (["labeled-data/mouse1/img000.png", "1", "", "1", "1", "9", "9"], "no label"),
        (["labeled-data/mouse1/img000.png", "here", "1", "1", "1", "9", "9"], "no label"),
        (["labeled-data/mouse1/img000.png", "inf", "1", "1", "1", "9", "9"], "no label"),
        (["labeled-data/mouse1/img000.png", "1", "1", "9", "9"], "no label"),
        (["labeled-data/mouse1/img000.png", "70", "1", "1", "1", "9", "9"], "label"),
        (["labeled-data/mouse1/img999.png", "5", "5", "1", "1", "9", "9"], "cannot be read"),
    ],
)
def test_row_that_cannot_be_used_sets_its_frame_aside(row: list[str], kind: str) -> None:
    cells = table()
    cells[3] = row
    write(cells)
    manifest = ingest()
    assert manifest.usable == FRAMES - 1
    assert manifest.quarantined == {kind: 1}


def test_frames_without_a_label_and_notes_are_counted() -> None:
    write(table()[:-1])
    Path("project/labeled-data/mouse1/notes.txt").write_text("the last one is blurred")
    made = listing()
    assert made.left_out.counts == {"frame without a label": 1, "no image": 1}
    assert len(list(made.entries())) == FRAMES - 1


def test_table_of_the_training_set_is_passed_over() -> None:
    write(table())
    folder = Path("project/training-datasets/iteration-0")
    folder.mkdir(parents=True)
    (folder / "CollectedData_Ada.csv").write_text("merged")
    assert len(list(listing().entries())) == FRAMES


def several() -> Cells:
    cells = table()
    return [cells[0], ["individuals", *["one"] * 6], *cells[1:]]


def repeated() -> Cells:
    cells = table()
    return [*cells, cells[3]]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (several(), "row 2 names individuals: several animals a frame are not read yet"),
        (repeated(), "has img000.png in 2 rows; keep one"),
        (table()[:3], "labels no frame"),
        (table()[1:], "its first rows begin with bodyparts, coords, labeled-data"),
        ([["scorer", "Ada"], ["bodyparts"], ["coords", "x"]], "are not of one length"),
        ([[*row, *row[1:3]] for row in table()], "has x of snout in two columns"),
    ],
)
def test_table_is_refused_in_one_line_when_it_is_none(cells: Cells, words: str) -> None:
    write(cells)
    with pytest.raises(UserError, match=words) as caught:
        listing()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "gone"}, "ingest.source.path: gone: no such folder"),
        ({"points": ["snoot"]}, r"'snoot' is no body part of .*\(did you mean snout\?\)"),
        ({"margin": -1}, "ingest.source.margin"),
    ],
)
def test_source_refuses_in_one_line(changes: dict[str, Any], words: str) -> None:
    write(table())
    with pytest.raises(UserError, match=words):
        listing(**changes)


def test_second_scorer_of_the_same_frames_is_refused() -> None:
    write(table())
    write(table(), name="CollectedData_Bob.csv")
    with pytest.raises(UserError, match="labels the frames that CollectedData_Ada.csv labels too"):
        listing()


def test_folder_without_a_table_is_refused() -> None:
    with pytest.raises(UserError, match=r"holds no CollectedData_\*\.csv"):
        listing()
