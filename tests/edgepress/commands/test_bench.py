"""Model files timed without a pipeline: what is asked for, what is refused, what is written."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from edgepress import cli
from edgepress.commands import bench
from edgepress.records.benched import Benched
from edgepress.runtimes.bare import Slot
from edgepress.validation import feed, latency
from edgepress.validation.latency import Plan
from edgepress.validation.watch import Watch

QUICK = ("--runs", 100, "--warmup", 1)


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine does or measures, nothing of it counts or is waited for here."""

    def plan(*given: Any, **named: Any) -> Plan:
        return Plan(*given, **named, watch=Watch(waited=lambda: 0))

    monkeypatch.setattr(bench, "Plan", plan)
    monkeypatch.setattr(latency, "alone", lambda progress: nullcontext())


def run(*arguments: object) -> int:
    return cli.main(["bench", *map(str, arguments)])


def model(path: Path, shape: list[Any], dtype: int = TensorProto.FLOAT, op: str = "Relu") -> Path:
    """Write an ONNX file of one node and one weight."""
    given = helper.make_tensor_value_info("image", dtype, shape)
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "two"], ["twice"]),
        helper.make_node(op, ["twice"], ["answer"]),
    ]
    two = numpy_helper.from_array(np.array(2, np.float32), "two")
    made = helper.make_graph(nodes, "small", [given], [answer], [two])
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(made, opset_imports=[opset], ir_version=10), path)
    return path


def test_table_and_json_tell_all_models_and_conditions_when_timed_in_turns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [model(tmp_path / f"{name}.onnx", [1, 3, 8, 8]) for name in "ab"]
    assert run(*paths, *QUICK, "--json", tmp_path / "b.json") == 0
    said, told = capsys.readouterr()
    assert told == ""
    lines = said.splitlines()
    assert lines[0].split()[0] == "model"
    assert [line.split()[0] for line in lines[1:3]] == [str(path) for path in paths]
    found = Benched.model_validate_json((tmp_path / "b.json").read_text())
    first, second = found.models
    assert first.latency.speedup is None
    speedup = second.latency.speedup
    assert speedup is not None
    assert 0 < speedup.low <= speedup.value <= speedup.high
    assert first.latency.runs == second.latency.runs == 100
    assert first.latency.p99_ms is None  # 100 runs cannot bound it
    assert first.inputs == {"image": "float32 1,3,8,8"}
    assert first.bytes == paths[0].stat().st_size
    assert first.peak_memory_mb is not None
    assert first.peak_memory_mb > 10
    assert set(found.conditions.tools) == {"onnxruntime"}
    assert found.data == "random"
    assert lines[4].startswith("image float32 1,3,8,8; random inputs; 100 runs each in turns")


def test_open_shapes_are_asked_for_and_taken_when_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model(tmp_path / "a.onnx", ["n", 3, "h", 8])
    assert run(path, *QUICK) == 2
    assert (
        f"{path}: input image is open, ?,3,?,8; say --shape image=1,3,1,8"
        in capsys.readouterr().err
    )
    assert run(path, *QUICK, "--shape", "image=1,3,6,8", "--json", tmp_path / "b.json") == 0
    (only,) = json.loads((tmp_path / "b.json").read_text())["models"]
    assert only["inputs"] == {"image": "float32 1,3,6,8"}
    assert run(path, *QUICK, "--shape", "image=1,4,6,8") == 2
    assert "image is ?,3,?,8 in the file, --shape says 1,4,6,8" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.onnx", "a.xml", "a.tflite", "a.pte", "a.txt", "none.onnx"])
def test_a_file_that_is_no_model_is_one_line_when_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if not name.startswith("none"):
        path.write_bytes(b"no model at all, but some text")
    assert run(path, *QUICK, "--json", tmp_path / "b.json") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"edgepress bench: {path}: ")
    assert not (tmp_path / "b.json").exists()


def test_an_operator_that_the_runtime_has_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model(tmp_path / "a.onnx", [1, 3, 8, 8], op="MyOwn"), *QUICK) == 2
    assert "ONNX Runtime refuses it" in capsys.readouterr().err.replace("\n", " ")


def test_pictures_are_run_when_a_folder_of_them_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = model(tmp_path / "a.onnx", [1, 3, 8, 8])
    assert run(path, *QUICK, "--data", folder) == 2
    assert "holds no picture" in capsys.readouterr().err
    for index in range(3):
        Image.new("RGB", (20, 10), (50 * index, 0, 0)).save(folder / f"{index}.png")
    assert run(path, *QUICK, "--data", folder) == 0
    assert f"{folder} inputs" in capsys.readouterr().out
    words = model(tmp_path / "words.onnx", [1, 12], TensorProto.INT64)
    assert run(words, *QUICK, "--data", folder) == 2
    assert "takes image int64 (1, 12); leave --data out" in capsys.readouterr().err
    assert run(words, *QUICK) == 0


def test_shapes_and_options_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model(tmp_path / "a.onnx", [1, 3, 8, 8])
    bad = [("--shape", "image"), ("--shape", "other=1,2"), ("--runs", 5), ("--threads", 0)]
    for option in bad:
        assert run(path, *QUICK, *option) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(bad)
    assert "such as image=1,3,224,224" in lines[0]
    assert "--shape other: no such input; there is image" in lines[1]
    assert "option.runs" in lines[2]


def test_pictures_are_levels_of_the_models_own_type_and_layout() -> None:
    picture = Image.new("RGB", (40, 20), (255, 0, 128))
    slot = Slot("x", (1, 4, 6, 3), np.dtype("int8"))
    ((found,),) = feed.pictures(Path("m"), [slot], [picture])
    assert found.shape == (1, 4, 6, 3)
    assert found.dtype == np.int8
    assert found[0, 0, 0].tolist() == [127, -128, 0]
    ((other,),) = feed.pictures(Path("m"), [Slot("x", (1, 3, 4, 6), np.dtype("f4"))], [picture])
    np.testing.assert_allclose(other[0, :, 2, 2], [1, 0, 128 / 255], rtol=1e-6)


def test_random_inputs_fill_each_type_and_are_the_same_each_time() -> None:
    slots = [Slot("a", (2, 50), np.dtype(kind)) for kind in ("f4", "f2", "i1", "i8", "?")]
    first, second = feed.random(slots), feed.random(slots)
    for slot, one, two in zip(slots, first, second, strict=True):
        assert (one.shape, one.dtype) == (slot.shape, slot.dtype)
        np.testing.assert_array_equal(one, two)
    assert len(np.unique(first[2])) > 50
    assert not first[3].any()
