from __future__ import annotations

from pathlib import Path

import pytest

from edgepress.cli import main
from edgepress.commands.plan import _folded, _sum
from edgepress.planning.cost import Cost
from edgepress.planning.due import Due


def test_plan_is_refused_in_one_line_when_there_is_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    assert main(["plan"]) == 2
    assert capsys.readouterr().err == "edgepress plan: dvc.yaml: file not found\n"


def test_plan_refuses_in_the_stages_own_words_when_it_cannot_read_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("places: [a-b]\n")
    (tmp_path / "dvc.yaml").write_text('stages: {export: {matrix: {place: "${precisions}"}}}\n')
    assert main(["plan"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("edgepress plan: state: params.yaml: 'precisions' is missing")
    assert error.count("\n") == 1


def test_rows_are_one_line_when_variants_have_one_reason() -> None:
    rows = [
        (Due(f"export@{key}", "has not run here", sure=True), Cost(seconds, "last run"))
        for key, seconds in (("a", 5.0), ("b", 7.0))
    ]
    rows.append((Due("judge", "has not run here", sure=True), Cost(None, "not known")))
    assert list(_folded(rows)) == [
        ("export (2 variants)", "12.0 s", "has not run here", "last run"),
        ("judge", "?", "has not run here", "not known"),
    ]
    assert _sum(rows) == "12.0 s"
