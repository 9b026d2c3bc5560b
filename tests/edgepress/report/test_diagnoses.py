"""Diagnoses laid out: marks on their curves, shares of rows, pairs in words."""

from __future__ import annotations

from edgepress.records.diagnosis import Chart, Confusion, Curve, Diagnosis, Pair
from edgepress.report.diagnoses import drawn, float_network, judged
from edgepress.report.run import Run


def chart(*curves: Curve, **more: object) -> Diagnosis:
    plain = Chart(title="t", x_title="recall", y_title="precision", curves=curves)
    return Diagnosis(charts=(plain.model_copy(update=more),))


def test_mark_lies_on_its_curve_and_the_axes_end_at_the_whole() -> None:
    curve = Curve(name="cat", x=(0.0, 0.5, 1.0), y=(1.0, 0.6, 0.0), value=0.55, mark=(0.5, 0.6))
    found = drawn(chart(curve, value_title="ap"))
    assert found is not None
    (laid,) = found.charts
    (line,) = laid.lines
    assert line.points[0] == (laid.left, laid.top)
    assert line.points[-1] == (laid.right, laid.bottom)
    assert (line.dots[0].x, line.dots[0].y) == line.points[1]
    assert line.dots[0].hollow
    assert line.last == "AP 55.00 %"
    assert [text for _, text in laid.x_ticks] == ["0", "20", "40", "60", "80", "100"]


def test_axis_ends_at_the_highest_tolerance_when_it_is_small() -> None:
    curve = Curve(name="nose", x=(0.0, 0.2), y=(0.0, 1.0), value=1.0)
    found = drawn(chart(curve, x_high=0.2))
    assert found is not None
    assert found.charts[0].lines[0].points[-1] == (found.charts[0].right, found.charts[0].top)
    assert found.charts[0].x_ticks[-1][1] == "20"


def test_point_of_a_bin_is_the_larger_the_more_it_holds() -> None:
    curve = Curve(name="all", x=(0.1, 0.9), y=(0.2, 0.8), weights=(0.1, 0.9))
    found = drawn(chart(curve, diagonal=True))
    assert found is not None
    small, large = found.charts[0].lines[0].dots
    assert 2 < small.radius < large.radius < 9
    assert found.charts[0].diagonal


def test_lines_differ_in_tone_or_dashes_when_there_are_twelve() -> None:
    curves = [Curve(name=str(place), x=(0.0, 1.0), y=(1.0, 0.0)) for place in range(12)]
    found = drawn(chart(*curves))
    assert found is not None
    assert len({line.style for line in found.charts[0].lines}) == 12


def test_counts_are_shares_of_their_row_and_short_when_large() -> None:
    confusion = Confusion(
        unit="pixels",
        truths=("a", "b"),
        answers=("a", "b", "none"),
        counts=((30, 10, 0), (0, 1_234_567, 20_000)),
        pairs=(
            Pair(truth="a", answer="b", count=10, of=40),
            Pair(truth="none", answer="b", count=1200, of=0),
        ),
    )
    found = drawn(Diagnosis(confusion=confusion))
    assert found is not None
    assert found.matrix is not None
    rows = dict(found.matrix.rows)
    assert [(cell.text, cell.share, cell.right) for cell in rows["a"]] == [
        ("30", 0.75, True),
        ("10", 0.25, False),
        ("", 0.0, False),
    ]
    assert [cell.text for cell in rows["b"]] == ["", "1.2 M", "20 k"]
    assert found.matrix.pairs == (
        "a answered as b: 10 of 40 pixels (25.00 %)",
        "none answered as b: 1\u202f200",
    )


def test_nothing_is_drawn_when_nothing_was_told(finished: Run, empty: Run) -> None:
    assert drawn(Diagnosis()) is None
    assert float_network(empty) is None
    assert judged(empty) == []


def test_export_has_charts_of_its_own_when_its_answers_differ(finished: Run) -> None:
    found = judged(finished)
    assert [each.run.key for each in found if each.drawn] == [
        target.key for target in finished.targets if target.changed
    ]
    assert len(found) == 8  # what answered nothing is not judged
    names = [score.name for score in found[1].scores]
    assert names == ["accuracy", "calibration_error"]
    assert found[1].scores[0].drop_between == "-0.68 to 1.12"
