from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.cli import main
from edgepress.sections import problems

ROOT = Path(__file__).parents[2]
ROUTE = {
    "runtime": "onnxruntime",
    "precision": "int8",
    "export": "onnx",
    "baseline": "x86_64-onnxruntime-fp32",
}
ROUTE = {
    "runtime": "onnxruntime",
    "precision": "int8",
    "export": "onnx",
    "baseline": "x86_64-onnxruntime-fp32",
}


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def put(tree: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return a copy with the value at a path of /-separated keys; ... removes it."""
    changed = copy.deepcopy(tree)
    place = changed
    *parents, last = key.split("/")
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


def test_problems_finds_none_when_the_committed_file_is_checked(tree: dict[str, Any]) -> None:
    assert problems(tree, "params.yaml") == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", -1, ["seed: expected an integer of 0 or more, got -1"]),
        ("seed", True, ["seed: expected an integer of 0 or more, got True"]),
        ("trian", {}, ["trian: unknown section (did you mean train?)"]),
        ("project", ..., ["project: missing"]),
        ("gates/min_cosine/int8", ..., ["gates.min_cosine: no bound for the precision 'int8'"]),
        ("targets", {}, ["targets: expected at least one entry"]),
        ("slim/method", "nonee", ["slim.method: 'nonee' is not one of", "did you mean none?"]),
        ("ingest/source/method", "digit", ["ingest.source.method", "did you mean digits?"]),
        ("ingest/limits", 3, ["ingest.limits: unknown key"]),
        ("ingest/split/val", 0.9, ["ingest.split", "stay below 1"]),
        ("train/recipe/epochs", 0, ["train.recipe.epochs"]),
        ("train/backbone", ..., ["'backbone' is missing under train"]),
        ("input/channels", 2, ["input.channels"]),
        ("check/min_side", "8", ["check.min_side", "got '8'"]),
        ("quantize/int8", {"method": "ptqq"}, ["quantize.int8.method: 'ptqq' is not one of"]),
        ("export/onnxx", {}, ["export: 'onnxx' is not one of", "did you mean onnx?"]),
        ("export/onnx/opset", 3, ["export.onnx.opset", "got 3"]),
        ("validate/runs", "many", ["validate.runs", "got 'many'"]),
        ("gates/max_p99_ms", 0, ["gates.max_p99_ms"]),
        ("targets/x86_64-onnxruntime", ROUTE, ["x86_64-onnxruntime: ", "expected device-runtime"]),
        ("targets/x86_64-onnxruntime-int8/precision", "fp32", ["is not the key's own word 'int8'"]),
        ("targets/x86_64-onnxruntime-int8/speed", 3, ["int8.speed: unknown key"]),
        (
            "targets/x86_64-onnxruntime-int8/export",
            "onx",
            ["targets.x86_64-onnxruntime-int8: export 'onx' is not one of", "did you mean onnx?"],
        ),
        (
            "targets/x86_64-onnxruntime-int8/baseline",
            "x86_64-onnxruntime-fp23",
            ["baseline 'x86_64-onnxruntime-fp23'", "did you mean x86_64-onnxruntime-fp32?"],
        ),
        (
            "targets/x86_64-onnxrt-int8",
            {**ROUTE, "runtime": "onnxrt"},
            ["runtime 'onnxrt' is not one of"],
        ),
        (
            "targets/x86_64-onnxruntime-int4",
            {**ROUTE, "precision": "int4"},
            ["precision 'int4' is not one of"],
        ),
    ],
)
def test_problems_tells_one_line_when_one_value_is_wrong(
    tree: dict[str, Any], key: str, value: Any, words: list[str]
) -> None:
    found = problems(put(tree, key, value), "params.yaml")
    assert len(found) == 1, found
    assert all(word in found[0] for word in ["params.yaml: ", *words]), found[0]


def test_params_prints_every_problem_and_exits_2_when_several_are_wrong(
    tree: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = put(put(tree, "seed", "0"), "slim/method", "no")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(wrong))
    assert main(["params", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(str(path)) for line in lines)
