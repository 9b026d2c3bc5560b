from __future__ import annotations

from typing import Any

from edgepress.planning.due import Asked, Due, due

ORDER = ["state", "ingest", "train", "export", "judge"]
DOT = """strict digraph  {
"data/images.dvc";
"state";
"judge";
"export@b";
"export@a";
"train";
"ingest";
"state" -> "ingest";
"data/images.dvc" -> "ingest";
"state" -> "train";
"ingest" -> "train";
"train" -> "export@a";
"train" -> "export@b";
"export@a" -> "judge";
"export@b" -> "judge";
}
"""
ALL = {"ingest", "train", "export@a", "export@b", "judge"}


def asked(status: dict[str, Any], ran: set[str] = ALL) -> list[Due]:
    found, whole = due(Asked(status, DOT, ran, ORDER))
    assert whole == 5
    return found


def test_due_is_nothing_when_only_the_stage_state_is_named() -> None:
    assert asked({"state": ["always changed"]}) == []


def test_due_lists_every_stage_in_order_when_none_has_run() -> None:
    found = asked({}, ran=set())
    assert [each.title for each in found] == ["ingest", "train", "export@b", "export@a", "judge"]
    assert all(each.sure and each.why == "has not run here" for each in found)


def test_due_names_parameters_code_and_files_when_they_changed() -> None:
    changes = {
        "changed deps": {
            "params.yaml": {"train": "modified", "seed": "modified"},
            "state/train.json": "modified",
            "data/manifest": "modified",
        }
    }
    first = asked({"train": [changes, {"changed outs": {"models/teacher": "deleted"}}]})[0]
    assert first == Due(
        "train",
        "params.yaml: train, seed; code, packages or files of yours changed; "
        "data/manifest modified; models/teacher deleted",
        sure=True,
    )


def test_due_says_what_only_follows_when_a_stage_before_it_runs() -> None:
    found = asked({"train": [{"changed deps": {"params.yaml": {"train": "modified"}}}]})
    assert [(each.title, each.sure) for each in found] == [
        ("train", True),
        ("export@b", False),
        ("export@a", False),
        ("judge", False),
    ]
    assert found[1].why == "if the result of train changes"
    assert found[3].why == "if the result of export changes"


def test_due_blames_the_stage_before_when_an_input_is_gone_with_it() -> None:
    found = asked(
        {
            "train": [{"changed outs": {"models/teacher": "deleted"}}],
            "export@a": [{"changed deps": {"models/teacher": "deleted"}}],
        }
    )
    why = {each.title: (each.why, each.sure) for each in found}
    assert why["export@a"] == ("if the result of train changes", False)
