from __future__ import annotations

from dataclasses import replace

from edgepress.report.curves import learning_curves
from edgepress.report.run import Run


def test_curves_hold_a_line_per_model_when_all_have_histories(finished: Run) -> None:
    loss, accuracy = learning_curves(finished.models)
    assert [line.name for line in loss.lines] == ["teacher", "student", "slim"]
    assert [len(line.points) for line in loss.lines] == [12, 20, 6]
    assert accuracy.title == "Validation accuracy, %"


def test_curves_fall_on_the_page_when_values_fall(finished: Run) -> None:
    loss, accuracy = learning_curves(finished.models[:1])
    heights = [y for _, y in loss.lines[0].points]
    assert heights == sorted(heights)  # pixels grow downwards
    heights = [y for _, y in accuracy.lines[0].points]
    assert heights == sorted(heights, reverse=True)
    for x, y in loss.lines[0].points:
        assert loss.left <= x <= loss.right
        assert loss.top <= y <= loss.bottom


def test_diverged_epochs_are_left_out_when_the_loss_is_not_finite(finished: Run) -> None:
    history = (
        {"epoch": 1, "loss": 2.0},
        {"epoch": 2, "loss": float("nan")},
        {"epoch": 3, "loss": 1.0},
    )
    charts = learning_curves([replace(finished.models[0], history=history)])
    assert [chart.title for chart in charts] == ["Training loss"]
    assert len(charts[0].lines[0].points) == 2


def test_there_is_no_chart_when_nothing_was_recorded(finished: Run) -> None:
    assert learning_curves([replace(finished.models[0], history=())]) == []
