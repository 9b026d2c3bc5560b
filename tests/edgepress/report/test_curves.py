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


def test_learning_rate_is_beneath_every_curve_when_it_was_recorded(finished: Run) -> None:
    model = finished.models[0]
    history = tuple(
        {"epoch": epoch, "loss": 1.0 / epoch, "learning_rate": 0.1 / epoch} for epoch in range(1, 5)
    )
    (loss,) = learning_curves([replace(model, history=history)])
    assert loss.beneath is not None
    assert loss.beneath.y_title == "learning rate"
    assert loss.beneath.height < loss.height
    assert loss.beneath.x_ticks == loss.x_ticks
    (rate,) = loss.beneath.lines
    assert [x for x, _ in rate.points] == [x for x, _ in loss.lines[0].points]
    heights = [y for _, y in rate.points]
    assert heights == sorted(heights)  # pixels grow downwards
    assert all(loss.beneath.top <= y <= loss.beneath.bottom for y in heights)


def test_kept_epoch_has_a_hollow_dot_when_the_best_was_kept(finished: Run) -> None:
    history = (
        {"epoch": 1, "loss": 2.0},
        {"epoch": 2, "loss": 1.0, "kept": 1},
        {"epoch": 3, "loss": 3},
    )
    (loss,) = learning_curves([replace(finished.models[0], history=history)])
    (line,) = loss.lines
    assert [(dot.x, dot.y) for dot in line.dots if dot.hollow] == [line.points[1]]


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
