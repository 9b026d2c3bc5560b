"""What state says of the user's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.errors import UserError
from edgepress.state.code import Execution, Tree
from stages.state import describe

ROOT = Path(__file__).parents[2]
TREE = Tree()


def state(stage: str, **changes: Any) -> dict[str, Any]:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params[stage].update(changes)
    return describe(Execution(stage, None, params, TREE))


@pytest.mark.parametrize("stage", ["train", "distill"])
def test_network_is_stale_when_its_weights_change(stage: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"123")
    before = state(stage, weights={"path": str(path)})
    assert (before["files"]["files"], before["files"]["bytes"]) == (1, 3)
    path.write_bytes(b"1234")
    after = state(stage, weights={"path": str(path)})
    assert {name for name in before if before[name] != after[name]} == {"files"}


def test_network_knows_no_file_when_it_has_no_weights() -> None:
    assert state("train", weights=None)["files"]["files"] == 0


def test_weights_are_refused_when_they_are_no_mapping() -> None:
    with pytest.raises(UserError, match=r"train.weights: expected a mapping, got 'w.pth'"):
        state("train", weights="w.pth")
