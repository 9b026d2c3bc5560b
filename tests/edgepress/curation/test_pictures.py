from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.curation import pictures
from edgepress.curation.curate import Means, Source, curate
from edgepress.curation.page import write_page
from edgepress.curation.shards import Shards
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules, build_manifest
from edgepress.data.splits import Fractions
from edgepress.methods import resolve
from edgepress.records.embeddings import Embeddings
from edgepress.records.inputs import InputSpec
from edgepress.records.selection import Selection

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.0,), std=(1.0,))


@pytest.fixture
def digits(tmp_path: Path, complexity: dict[str, Any]) -> tuple[Path, Path, Selection]:
    """Return a manifest of digits, a selection folder of its training images, and the record."""
    manifest = tmp_path / "manifest"
    manifest.mkdir()
    source = resolve("data.sources", {"method": "digits"}, "test", "source")
    build_manifest(
        source(manifest), manifest, Rules(split=Fractions(val=0.1, test=0.25), limit=150)
    )
    images = ImageSet.open(manifest, "train")
    vectors = images.pixels(SPEC).reshape(len(images), -1).astype(np.float32) + 1
    Embeddings.create(tmp_path / "e", vectors, images.ids, encoder="p", encoder_sha256="0" * 64)
    method = resolve("curation", complexity, "test", "params")
    shards = Shards.open([tmp_path / "e"])
    folder = tmp_path / "selection"
    selection = curate(method, Source(shards, 0), folder, Means(tmp_path / "scratch"))
    return manifest, folder, selection


def test_pictures_are_svg_with_a_mark_per_concept_and_the_same_each_time(
    digits: tuple[Path, Path, Selection],
) -> None:
    _, _, selection = digits
    for draw in (pictures.complexity_by_size, pictures.quota_by_size):
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
    assert pictures.complexity_by_size(selection.model_copy(update={"concepts": bare})) is None


def test_kept_per_class_names_every_class() -> None:
    svg = pictures.kept_per_class(
        np.array([True, False, True]), np.array([0, 0, 1]), ["cat", "a very long name of a class"]
    )
    assert b"cat" in svg
    assert b"a very long name " in svg
    assert b"all rows: 67%" in svg


def test_page_shows_images_classes_and_every_picture(
    tmp_path: Path, digits: tuple[Path, Path, Selection]
) -> None:
    manifest, folder, selection = digits
    write_page(selection, folder, tmp_path / "out.html", (None, ImageSet.open(manifest)))
    page = (tmp_path / "out.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 3
    assert page.count("data:image/png;base64,") == 1
    assert f"Kept <b>{selection.budget}</b> of {selection.rows}" in page


def test_concept_grid_is_none_when_no_row_has_an_image(
    tmp_path: Path, digits: tuple[Path, Path, Selection]
) -> None:
    manifest, folder, selection = digits
    table = selection.table(folder)
    others = ImageSet.open(manifest, "test")
    assert pictures.concept_grid(selection, table, others, SPEC) is None


def test_grid_has_images_from_centre_to_rim(
    digits: tuple[Path, Path, Selection],
) -> None:
    manifest, folder, selection = digits
    table = selection.table(folder)
    images = ImageSet.open(manifest, "train")
    place = {name: row for row, name in enumerate(images.ids)}
    largest = max(selection.concepts, key=lambda c: c.size).index
    rows = pictures._spaced_rows(table, largest, False, 4, place)
    assert len(rows) == 4
    assert (np.diff(table.distance[rows]) >= 0).all()
    assert not table.kept[rows].any()
