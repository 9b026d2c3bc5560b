"""Every preset merges and holds; `digits` is params.yaml as committed, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edgepress.commands.preset import merge
from edgepress.params import read_yaml
from edgepress.sections import problems

ROOT = Path(__file__).parents[2]
PARAMS = (ROOT / "params.yaml").read_text()
PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


def merged(text: str, name: str) -> str:
    path = ROOT / "presets" / f"{name}.yaml"
    return merge(text, read_yaml(path), str(path))


def test_shipped_presets_are_there_when_listed() -> None:
    assert {"digits", "cifar10", "folder"} <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_holds_when_merged(name: str) -> None:
    assert problems(yaml.safe_load(merged(PARAMS, name)), name) == []


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "digits"])
def test_preset_changes_something_when_merged(name: str) -> None:
    assert yaml.safe_load(merged(PARAMS, name)) != yaml.safe_load(PARAMS)


def test_digits_is_the_committed_file_to_the_byte_when_merged() -> None:
    assert merged(PARAMS, "digits") == PARAMS


@pytest.mark.parametrize("name", PRESETS)
def test_digits_leads_back_when_another_preset_was_written(name: str) -> None:
    assert yaml.safe_load(merged(merged(PARAMS, name), "digits")) == yaml.safe_load(PARAMS)
