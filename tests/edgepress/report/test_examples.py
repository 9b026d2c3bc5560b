from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgepress.records import selection as records
from edgepress.report.examples import curation, shown, spread
from edgepress.report.run import ConceptRun


@given(st.integers(0, 80), st.integers(2, 9))
def test_spread_keeps_order_and_both_ends_when_there_are_many(rows: int, limit: int) -> None:
    found = spread(np.arange(rows, dtype=np.int64), limit)
    assert len(found) == min(limit, rows)
    assert found == sorted(set(found))
    if rows:
        assert (found[0], found[-1]) == (0, rows - 1)
    gaps = np.diff(found)
    assert not gaps.size or gaps.max() - gaps.min() <= 1


def test_concepts_come_hardest_first_when_complexity_is_known() -> None:
    concepts = [ConceptRun(f"c{row}", 10, 5, complexity=float(row % 7)) for row in range(7)]
    assert [concept.name for concept in shown(concepts)] == [f"c{row}" for row in range(6, -1, -1)]


def test_both_ends_are_shown_when_there_are_too_many_concepts() -> None:
    concepts = [ConceptRun(f"c{row}", 10, 5, complexity=float(row)) for row in range(100)]
    assert [concept.name for concept in shown(concepts, 4)] == ["c99", "c98", "c1", "c0"]


def test_concepts_come_largest_first_when_the_method_knows_no_complexity() -> None:
    concepts = [ConceptRun("small", 3, 1), ConceptRun("large", 30, 1)]
    assert [concept.name for concept in shown(concepts)] == ["large", "small"]


def test_curation_tells_kept_from_pruned_when_read_from_a_selection() -> None:
    parts = {"d_intra": 0.1, "d_inter": 0.2, "complexity": 0.02, "probability": 1.0}
    concept = records.Concept(index=0, size=3, duplicates=1, quota=2, kept=2, **parts)
    selection = records.Selection(
        method="concept_complexity",
        params={},
        seed=0,
        rows=4,
        budget=2,
        temperature=0.5,
        order="hard",
        concepts=(concept,),
        table_sha256="0" * 64,
    )
    table = records.SelectionTable(
        ids=["a", "b", "c", "d"],
        concept=np.zeros(4, np.int32),
        distance=np.array([0.3, 0.1, np.nan, 0.2], np.float32),
        kept=np.array([True, False, False, True]),
        reason=["chosen", "over-quota", "duplicate", "chosen"],
    )
    found = curation(selection, table, {"a": "cat", "b": "cat", "c": "dog"})
    assert (found.total, found.kept) == (4, 2)
    assert [(row.name, row.total, row.kept) for row in found.classes] == [
        ("cat", 2, 1),
        ("dog", 1, 0),
        ("no label", 1, 1),
    ]
    only = found.concepts[0]
    assert only.size == 4
    assert [image.id for image in only.kept_examples] == ["d", "a"]
    assert [image.id for image in only.pruned_examples] == ["c", "b"]
    assert [(row.size, row.duplicates, row.kept) for row in found.numbers] == [(4, 1, 2)]
