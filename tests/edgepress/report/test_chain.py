from __future__ import annotations

from dataclasses import replace

import pytest

from edgepress.report.chain import links
from edgepress.report.run import Run


def test_links_compare_with_the_teacher_when_the_chain_is_whole(finished: Run) -> None:
    rows = {link.name: link for link in links(finished)}
    assert list(rows)[:3] == ["teacher", "student", "slim"]
    assert rows["teacher"].drop is None
    assert rows["slim"].drop == pytest.approx(0.0133)
    assert rows["student"].smaller == pytest.approx(1_083_722 / 75_290)
    int8 = rows["x86_64-openvino-int8"]
    assert (int8.parameters, int8.size_bytes) == (43_018, 112_000)
    assert int8.drop == pytest.approx(0.9911 - 0.9733)


def test_only_measured_compressed_targets_are_links_when_others_exist(finished: Run) -> None:
    names = [link.name for link in links(finished)][3:]
    assert len(names) == 4
    assert all(name.startswith("x86_64") and name.endswith("int8") for name in names)


def test_a_link_says_nothing_when_its_score_is_unknown(finished: Run) -> None:
    bare = replace(finished.models[1], scores={}, size_bytes=None)
    row = links(replace(finished, models=(finished.models[0], bare), targets=()))[1]
    assert (row.score, row.drop, row.smaller) == (None, None, None)


def test_there_are_no_links_when_nothing_was_trained(empty: Run) -> None:
    assert links(empty) == []
