from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.curation.curate import Compute, Source, curate
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.splits import Fractions
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.embeddings import Embeddings
from edgepress.records.inputs import InputSpec
from edgepress.records.selection import Selection
from edgepress.report import selection_pictures
from edgepress.report.selection_page import render
from edgepress.report.selection_tally import Labels, tally
from edgepress.vectors.shards import Shards
from tests.classified import classified

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.0,), std=(1.0,))


@pytest.fixture
def digits(tmp_path: Path, complexity: dict[str, Any]) -> tuple[Path, Path, Selection]:
    """Return a manifest of digits, a selection folder of its training images, and the record."""
    manifest = tmp_path / "manifest"
    manifest.mkdir()
    source = resolve("data.sources", {"method": "digits"}, "test", "source")
    classified(source(manifest), manifest, Rules(split=Fractions(val=0.1, test=0.25), limit=150))
    images = ImageSet.open(manifest, "train")
    vectors = images.pixels(SPEC).reshape(len(images), -1).astype(np.float32) + 1
    Embeddings.create(tmp_path / "e", vectors, images.ids, encoder="p", encoder_sha256="0" * 64)
    method = resolve("curation", complexity, "test", "params")
    shards = Shards.open([tmp_path / "e"])
    folder = tmp_path / "selection"
    selection = curate(method, Source(shards, 0), folder, Compute(tmp_path / "scratch"))
    return manifest, folder, selection


def test_pictures_are_svg_with_a_mark_per_concept_and_the_same_each_time(
    digits: tuple[Path, Path, Selection],
) -> None:
    _, _, selection = digits
    for draw in (selection_pictures.complexity_by_size, selection_pictures.quota_by_size):
        svg = draw(selection)
        assert svg is not None
        assert ET.fromstring(svg).tag.endswith("svg")
        assert svg.count(b"<use ") >= sum(c.size > 0 for c in selection.concepts)
        assert draw(selection) == svg


def test_complexity_picture_is_none_when_the_method_has_no_complexity(
    digits: tuple[Path, Path, Selection],
) -> None:
    _, _, selection = digits
    bare = tuple(c.model_copy(update={"complexity": None}) for c in selection.concepts)
    assert (
        selection_pictures.complexity_by_size(selection.model_copy(update={"concepts": bare}))
        is None
    )


def test_kept_per_class_names_every_class() -> None:
    svg = selection_pictures.kept_per_class(
        np.array([1, 1]), np.array([2, 1]), ["cat", "a very long name of a class"]
    )
    assert b"cat" in svg
    assert b"a very long name " in svg
    assert b"all rows: 67%" in svg


def test_kept_per_class_shows_the_largest_when_there_are_many() -> None:
    totals = np.full(5_000, 2)
    totals[4_321] = 9
    svg = selection_pictures.kept_per_class(totals // 2, totals, np.arange(5_000) + 10**15)
    assert b"the 200 largest of 5,000 classes" in svg
    assert b"1000000000004321" in svg
    assert b"1000000000004320" not in svg


def test_page_shows_images_classes_and_every_picture(
    digits: tuple[Path, Path, Selection],
) -> None:
    manifest, folder, selection = digits
    page = render(selection, folder, images=ImageSet.open(manifest))
    assert page.count("data:image/svg+xml;base64,") == 3
    assert page.count("data:image/png;base64,") == 1
    assert f"Kept <b>{selection.budget}</b> of {selection.rows}" in page


def test_concept_grid_is_none_when_no_row_has_an_image(
    digits: tuple[Path, Path, Selection],
) -> None:
    manifest, folder, selection = digits
    shown = selection_pictures.spaced(selection)
    others = ImageSet.open(manifest, "test")
    labels = Labels(np.zeros(selection.rows, np.int64), np.array([7]))
    found = tally(selection, folder, labels, others, [c.index for c in shown])
    assert selection_pictures.concept_grid(shown, found.examples, others, SPEC) is None


def test_tally_finds_every_image_of_a_concept_from_centre_to_rim(
    digits: tuple[Path, Path, Selection], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, folder, selection = digits
    _in_small_batches(monkeypatch)
    table = selection.table(folder)
    images = ImageSet.open(manifest)
    place = {name: index for index, name in enumerate(images.ids)}
    largest = max(selection.concepts, key=lambda c: c.size).index
    found = tally(selection, folder, None, images, [largest]).examples
    assert set(found) == {(largest, True), (largest, False)}
    for kept in (True, False):
        rows = np.flatnonzero((table.concept == largest) & (table.kept == kept))
        rows = rows[np.argsort(table.distance[rows], kind="stable")]
        assert found[largest, kept].tolist() == [place[str(table.ids[row])] for row in rows]


def test_tally_counts_classes_over_batches(
    digits: tuple[Path, Path, Selection], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, folder, selection = digits
    _in_small_batches(monkeypatch)
    images = ImageSet.open(manifest, "train")
    kept = selection.table(folder).kept
    for labels in (None, Labels(images.strata, np.arange(10))):
        found = tally(selection, folder, labels, images, [])
        assert found.totals.tolist() == np.bincount(images.strata, minlength=10).tolist()
        assert found.kept.tolist() == np.bincount(images.strata[kept], minlength=10).tolist()


def test_tally_refuses_when_an_image_that_brings_the_class_is_missing(
    digits: tuple[Path, Path, Selection],
) -> None:
    manifest, folder, selection = digits
    with pytest.raises(UserError, match="no usable image of id"):
        tally(selection, folder, None, ImageSet.open(manifest, "test"), [])


def _in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = Selection.batches

    def small(self: Selection, folder: Path, columns: Any = None) -> Iterator[Any]:
        for batch in batches(self, folder, columns):
            yield from (batch.slice(start, 7) for start in range(0, batch.num_rows, 7))

    monkeypatch.setattr(Selection, "batches", small)
