from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest

from edgepress.errors import UserError
from edgepress.export import rtx
from edgepress.export.tensorrt import Params
from edgepress.params import validate

OPTIONS = {"method": "tensorrt", "versions": ["10", "11"]}
FP32, INT8 = "jetson-tensorrt-fp32", "jetson-tensorrt-int8"


@pytest.mark.parametrize(("target", "bound"), [(FP32, 0.9999), (INT8, 0.98)])
def test_graph_answers_as_torch_when_its_stand_in_runs(
    trained: Any, export: Any, answer: Any, target: str, bound: float
) -> None:
    folder, exported = export(target, OPTIONS)
    assert trained.cosine(answer(folder, exported, "stand_in")) >= bound


def test_bundle_holds_graph_recipe_and_script_when_exported(export: Any) -> None:
    folder, exported = export(INT8, OPTIONS)
    assert [file.path for file in exported.files] == ["build.json", "build.py", "model.onnx"]
    recipe = json.loads((folder / "build.json").read_text())
    assert recipe["versions"] == ["10", "11"]
    assert [each["name"] for each in recipe["inputs"]] == ["image"]
    assert recipe["inputs"][0]["shape"] == [1, 1, 16, 16]
    assert recipe["outputs"][0]["shape"] == [1, 10]
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert recipe["onnx_sha256"] == digest


def test_script_needs_the_standard_library_alone_and_refuses_when_there_is_no_gpu(
    export: Any,
) -> None:
    folder, _ = export(INT8, OPTIONS)
    script = folder / "build.py"
    tree = ast.parse(script.read_text(), feature_version=(3, 8))
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules <= sys.stdlib_module_names
    environment = {"LD_LIBRARY_PATH": "", "CUDA_VISIBLE_DEVICES": "-1"}
    ran = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith("build.py: ")
    assert not (folder / "model.engine").exists()


@pytest.mark.skipif(not rtx.installed(), reason="TensorRT-RTX exists for x86-64 only")
def test_graph_was_built_once_without_the_device_when_exported(export: Any) -> None:
    _, exported = export(INT8, OPTIONS)
    assert any("parsed and built the graph" in note for note in exported.notes)


@pytest.mark.parametrize("versions", [[], ["12"], [10], None])
def test_params_refuse_when_a_version_is_unknown(versions: Any) -> None:
    with pytest.raises(UserError, match=r"export\.tensorrt\.versions"):
        validate(Params, {**OPTIONS, "versions": versions}, "params.yaml", "export.tensorrt")


def test_float_layers_stay_float_when_all_else_is_int8(parted: Any) -> None:
    exported, off = parted(INT8, OPTIONS, function="stand_in")
    assert max(off.values()) < 0.1
    assert "float by the recipe: boxes, left, right" in exported.notes
