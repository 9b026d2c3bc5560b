from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edgepress.report.concepts import scatters
from edgepress.report.page import render
from edgepress.report.run import ConceptRun, Curation, Run

THREE = (
    ConceptRun("Concept 0", 40, 30, 0.2),
    ConceptRun("Concept 1", 10, 10, 0.1, duplicates=2),
    ConceptRun("Concept 2", 50, 20, 0.3),
)


def curation(*numbers: ConceptRun) -> Curation:
    total, kept = sum(found.size for found in numbers), sum(found.kept for found in numbers)
    return Curation("any", total, kept, numbers=numbers)


def titles(found: dict[str, Any]) -> list[str]:
    return [chart["title"] for chart in found["charts"]]


def test_both_charts_hold_every_concept_when_complexity_is_known() -> None:
    found = scatters(curation(*THREE))
    assert titles(found) == ["Complexity against size", "Images kept against size"]
    assert [point["key"] for point in found["points"]] == ["Concept 1", "Concept 0", "Concept 2"]
    smallest = found["points"][0]["axes"]
    assert smallest == {
        "size": [10], "kept": [10], "share": [100.0], "duplicates": [2], "complexity": [0.1],
    }  # fmt: skip
    lines = found["charts"][1]["lines"]
    assert [(line["name"], line["slope"]) for line in lines] == [
        ("all kept", 1.0),
        ("the same share of each (60.00 %)", 0.6),
    ]


def test_images_kept_are_drawn_alone_when_the_method_knows_no_complexity() -> None:
    plain = [replace(concept, complexity=None) for concept in THREE]
    assert titles(scatters(curation(*plain))) == ["Images kept against size"]


def test_line_of_the_same_share_is_left_out_when_all_are_kept() -> None:
    whole = [replace(concept, kept=concept.size) for concept in THREE]
    [line] = scatters(curation(*whole))["charts"][1]["lines"]
    assert line["name"] == "all kept"


@pytest.mark.parametrize(
    "numbers", [(), THREE[:1], (THREE[0], ConceptRun("Concept 1", 0, 0, 0.0))], ids=len
)
def test_there_are_no_charts_when_fewer_than_two_concepts_have_images(
    finished: Run, numbers: tuple[ConceptRun, ...]
) -> None:
    found = Curation("any", 40, 30, numbers=numbers)
    assert scatters(found)["charts"] == scatters(None)["charts"] == []
    assert 'class="concept-chart"' not in render(replace(finished, curation=found))


def test_empty_concepts_and_broken_numbers_are_left_out_when_drawn() -> None:
    broken = ConceptRun("Concept 3", 5, 1, float("nan"))
    found = scatters(curation(*THREE, broken, ConceptRun("Concept 4", 0, 0, 0.0)))
    assert len(found["points"]) == 4
    assert "complexity" not in found["points"][0]["axes"]
    json.dumps(found, allow_nan=False)  # a NaN is no JSON: the browser would draw nothing


@pytest.mark.parametrize(("size", "log"), [(300, False), (301, True)])
def test_size_is_logarithmic_when_it_ranges_widely(size: int, log: bool) -> None:
    found = scatters(curation(*THREE, ConceptRun("Concept 3", size, 9, 0.1)))
    assert found["charts"][0]["x"]["log"] is log


@pytest.mark.parametrize(("many", "label"), [(24, "0"), (25, "")])
def test_marks_are_numbered_when_they_are_few(many: int, label: str) -> None:
    found = scatters(curation(*(ConceptRun(f"Concept {row}", 9 + row, 3) for row in range(many))))
    assert found["points"][0]["label"] == label
