from __future__ import annotations

from itertools import combinations

from edgepress.report.layout import Node, lay_out
from edgepress.report.run import Run, StageRun


def overlap(a: Node, b: Node) -> bool:
    return (
        a.x < b.x + b.width
        and b.x < a.x + a.width
        and a.y < b.y + b.height
        and b.y < a.y + a.height
    )


def test_no_boxes_overlap_when_a_whole_run_is_drawn(finished: Run) -> None:
    graph = lay_out(finished.stages)
    assert graph is not None
    assert len(graph.nodes) == len(finished.stages)
    assert not any(overlap(one, other) for one, other in combinations(graph.nodes, 2))
    for node in graph.nodes:
        assert 0 <= node.x <= graph.width - node.width
        assert 0 <= node.y <= graph.height - node.height


def test_every_dependency_is_an_edge_when_both_ends_are_there(finished: Run) -> None:
    graph = lay_out(finished.stages)
    assert graph is not None
    assert len(graph.edges) == sum(len(stage.after) for stage in finished.stages)
    lonely = lay_out([StageRun("train", after=("curate",))])
    assert lonely is not None
    assert lonely.edges == ()


def test_keys_are_written_once_when_two_columns_share_them(finished: Run) -> None:
    graph = lay_out(finished.stages)
    assert graph is not None
    texts = {node.run.title: node.text for node in graph.nodes}
    assert texts["export@apple-coreml-fp32"] == "apple-coreml-fp32"
    assert texts["validate@apple-coreml-fp32"] == ""


def test_time_is_a_dash_when_a_stage_left_no_metrics() -> None:
    graph = lay_out([StageRun("train", seconds=90.0), StageRun("report"), StageRun("x", None, 240)])
    assert graph is not None
    assert [node.time for node in graph.nodes] == ["90.0 s", "–", "4.0 min"]
    assert graph.seconds == 330.0


def test_there_is_no_graph_when_no_stage_is_known() -> None:
    assert lay_out([]) is None
