from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.schedule import Graph, GraphError, Schedule


def test_graph_is_dvcs_own_when_read(project: Path) -> None:
    graph = Graph.read()
    assert graph.needs["ingest"] == frozenset()
    assert graph.needs["export@b"] == {"ingest"}
    assert graph.needs["report"] == {"validate@a", "validate@b"}
    assert len(graph.needs) == 6


def test_graph_leaves_tracked_files_out_when_dvc_lists_them() -> None:
    dot = 'strict digraph {\n"data.dvc";\n"a";\n"b";\n"data.dvc" -> "a";\n"a" -> "b";\n}\n'
    assert Graph.parse(dot).needs == {"a": frozenset(), "b": {"a"}}


def test_graph_error_is_dvcs_line_when_the_pipeline_cannot_be_read(project: Path) -> None:
    (project / "dvc.yaml").write_text("stages: [1")
    with pytest.raises(GraphError, match=r"dvc\.yaml"):
        Graph.read()


def test_only_keeps_what_matches_when_given_patterns() -> None:
    graph = Graph({"a": frozenset(), "b@x": frozenset("a"), "b@y": frozenset({"a", "b@x"})})
    assert graph.only(["b@*"]).needs == {"b@x": frozenset(), "b@y": {"b@x"}}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 12))
    names = [f"{draw(st.sampled_from(['export', 'validate']))}@{i}" for i in range(size)]
    return Graph(
        {
            name: frozenset(draw(st.sets(st.sampled_from(names[:i]))) if i else ())
            for i, name in enumerate(names)
        }
    )


@given(graphs(), st.integers(1, 4), st.data())
def test_schedule_keeps_its_promises_when_stages_end_in_any_order(
    graph: Graph, places: int, data: st.DataObject
) -> None:
    schedule = Schedule(graph, places, "validate@*")
    failed: set[str] = set()
    while True:
        schedule.start()
        running = sorted(schedule.running)
        assert len(running) <= places
        assert len(running) == 1 or not any(name.startswith("validate@") for name in running)
        assert all(graph.needs[name] <= schedule.done for name in running)
        if not running:
            break
        ended, ok = data.draw(st.sampled_from(running)), data.draw(st.booleans())
        failed |= set() if ok else {ended}
        schedule.finish(ended, ok=ok)
    unreachable = {n for n in graph.needs if n not in schedule.done | failed}
    assert set(schedule.blocked) == unreachable
    assert all(graph.needs[name] & (failed | unreachable) for name in unreachable)


def test_schedule_fills_its_places_when_stages_may_run_side_by_side() -> None:
    graph = Graph({"export@a": frozenset(), "export@b": frozenset(), "validate@a": frozenset()})
    schedule = Schedule(graph, 2, "validate@*")
    assert schedule.start() == ["export@a", "export@b"]
    schedule.finish("export@a", ok=True)
    assert schedule.start() == []
    schedule.finish("export@b", ok=True)
    assert schedule.start() == ["validate@a"]
