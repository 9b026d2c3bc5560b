from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.cli import main
from edgepress.commands import preset as command
from edgepress.commands.preset import merge
from edgepress.errors import UserError

BASE = """\
# What this file is.
project: digits
seed: 0

ingest:
  source: {method: digits}
  split: {val: 0.1, test: 0.25}   # by id hash
  limit: null                     # null is all

slim: {method: magnitude, ratio: 0.25, rate: 0.0005}

# what a precision is
quantize:
  fp32: {method: none}
  int8: {method: ptq, images: 64}

places:
  - a-x
  - a-y

tail: {flag: true}
"""


def changed(after: str) -> list[str]:
    return [line for line in after.splitlines() if line not in BASE.splitlines()]


def test_merge_gives_the_same_bytes_when_nothing_changes() -> None:
    assert merge(BASE, {}, "p") == BASE
    assert merge(BASE, yaml.safe_load(BASE), "p") == BASE


def test_merge_changes_one_line_and_keeps_its_comment_when_a_value_changes() -> None:
    after = merge(BASE, {"ingest": {"limit": 5000}}, "p")
    assert changed(after) == ["  limit: 5000                     # null is all"]
    assert len(after.splitlines()) == len(BASE.splitlines())


def test_merge_replaces_the_entry_when_its_method_changes() -> None:
    after = merge(BASE, {"slim": {"method": "none"}}, "p")
    assert yaml.safe_load(after)["slim"] == {"method": "none"}
    assert changed(after) == ["slim: {method: none}"]


def test_merge_keeps_the_other_parameters_when_the_method_stays() -> None:
    after = merge(BASE, {"slim": {"method": "magnitude", "ratio": 0.5}}, "p")
    assert yaml.safe_load(after)["slim"] == {"method": "magnitude", "ratio": 0.5, "rate": 0.0005}


def test_merge_adds_and_removes_entries_when_the_section_is_free() -> None:
    entry = {"method": "clipped", "images": 8}
    after = merge(BASE, {"quantize": {"int8": None, "clipped": entry}}, "p")
    variants = yaml.safe_load(after)["quantize"]
    assert list(variants) == ["fp32", "clipped"]
    assert variants["clipped"] == entry


def test_merge_takes_null_and_booleans_as_values_when_given_elsewhere() -> None:
    after = yaml.safe_load(merge(BASE, {"ingest": {"limit": None}, "tail": {"flag": 1}}, "p"))
    assert after["ingest"]["limit"] is None
    assert after["tail"]["flag"] is not True


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ({"sed": 1}, "presets/p.yaml: sed: unknown key"),
        ({"ingest": {"limits": 3}}, "ingest.limits: unknown key; known are source, split, limit"),
        ({"ingest": {"limits": 3}}, "did you mean limit?"),
        ({"ingest": 3}, "ingest: a mapping cannot take the place of a value"),
        ({"seed": {"x": 1}}, "seed: a mapping cannot take the place of a value"),
    ],
)
def test_merge_names_the_key_when_a_preset_is_wrong(preset: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        merge(BASE, preset, "presets/p.yaml")
    assert words in str(caught.value)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose sections need no check of methods."""
    (tmp_path / "params.yaml").write_text(BASE)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "more.yaml").write_text("seed: 7\n")
    (tmp_path / "presets" / "same.yaml").write_text("seed: 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "problems", lambda tree, where: [])
    return tmp_path


def test_preset_shows_but_leaves_the_file_when_not_told_to_write(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preset", "more"]) == 0
    assert "-seed: 0\n+seed: 7\n" in capsys.readouterr().out
    assert (project / "params.yaml").read_text() == BASE


def test_preset_writes_the_merged_file_when_told_to(project: Path) -> None:
    assert main(["preset", "more", "--write"]) == 0
    assert (project / "params.yaml").read_text() == BASE.replace("seed: 0", "seed: 7")


def test_preset_leaves_the_file_untouched_when_nothing_changes(project: Path) -> None:
    before = (project / "params.yaml").stat()
    assert main(["preset", "same", "--write"]) == 0
    after = (project / "params.yaml").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_preset_writes_nothing_when_the_result_does_not_hold(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "problems", lambda tree, where: [f"{where}: seed: odd", "b"])
    assert main(["preset", "more", "--write"]) == 2
    line = capsys.readouterr().err
    assert "params.yaml with presets/more.yaml: seed: odd (and 1 more)" in line
    assert (project / "params.yaml").read_text() == BASE


def test_preset_suggests_the_nearest_when_the_name_is_unknown(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preset", "mor"]) == 2
    assert "not one of more, same (did you mean more?)" in capsys.readouterr().err


def test_bounds_of_the_scores_are_the_presets_alone_when_it_names_another_task() -> None:
    base = BASE + "task: {method: a}\ngates:\n  min_score: {old: 0.5}   # by score\n  drop: 0.1\n"
    new = {"task": {"method": "b"}, "gates": {"min_score": {"new": 0.7}}}
    after = merge(base, new, "p")
    assert yaml.safe_load(after)["gates"] == {"min_score": {"new": 0.7}, "drop": 0.1}
    assert "# by score" in after
    kept = merge(base, {**new, "task": {"method": "a"}}, "p")
    assert yaml.safe_load(kept)["gates"]["min_score"] == {"old": 0.5, "new": 0.7}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("shift", {"flip": 0.5, "scale": [0.8, 1.25]}),
        ({"flip": 0.5, "rotate": 5}, {"rotate": 10}),
        ({"flip": 0.5}, "none"),
    ],
)
def test_merge_replaces_the_augmentation_when_it_is_a_word_or_a_mapping(
    before: object, after: object
) -> None:
    text = yaml.safe_dump({"slim": {"method": "magnitude", "augment": before, "ratio": 0.5}})
    merged = merge(text, {"slim": {"augment": after}}, "p")
    assert yaml.safe_load(merged)["slim"] == {"method": "magnitude", "augment": after, "ratio": 0.5}


@pytest.mark.parametrize("task", ["detection", None, ["detection"]])
@pytest.mark.parametrize("base", ["", "gates: []\n", "task: {method: a}\n", "task: a\ngates:\n"])
def test_merge_raises_nothing_of_its_own_when_tasks_or_gates_are_no_mappings(
    task: Any, base: str
) -> None:
    with contextlib.suppress(UserError):
        merge(BASE + base, {"task": task}, "p")
    with contextlib.suppress(UserError):
        merge(BASE + base, {"task": {"method": "b"}}, "p")


def test_merge_quotes_a_value_that_dvc_would_not_read_bare() -> None:
    from ruamel.yaml import YAML

    entry = {"method": "module", "entry": "nets.small:Net"}
    after = merge("train:\n  backbone: {method: other}\n", {"train": {"backbone": entry}}, "p")
    assert YAML(typ="safe").load(after)["train"]["backbone"] == entry
