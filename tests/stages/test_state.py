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


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_what_is_built_of_an_onnx_file_alone_is_stale_when_the_file_or_its_weights_change(
    name: str, tmp_path: Path
) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for file in ("model.onnx", "model.onnx.data", "other.onnx"):
        (tmp_path / file).write_bytes(b"123")
    for section in ("train", "distill"):
        params[section]["backbone"] = {"method": "onnx", "path": str(tmp_path / "model.onnx")}
    executions = [
        *(Execution(stage, None, params, TREE) for stage in ("train", "distill", "slim")),
        Execution("quantize", "int8", params, TREE),
        Execution("export", "x86_64-openvino-int8", params, TREE),
    ]
    before = [describe(each) for each in executions]
    (tmp_path / name).write_bytes(b"1234")
    after = [describe(each) for each in executions]
    changed = [e.stage for e, b, a in zip(executions, before, after, strict=True) if b != a]
    assert changed == ["train", "distill"]


def test_network_knows_no_file_when_it_has_no_weights() -> None:
    assert state("train", weights=None)["files"]["files"] == 0


def test_weights_are_refused_when_they_are_no_mapping() -> None:
    with pytest.raises(UserError, match=r"train.weights: expected a mapping, got 'w.pth'"):
        state("train", weights="w.pth")
