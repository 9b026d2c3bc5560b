"""Boxes decoded and suppressed inside the graph, against the same outside of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgepress.data.preprocess import normalise
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import joined
from tests import scenes

HEADS: dict[str, dict[str, Any]] = {
    "distances": {"method": "decoupled", "width": 8, "depth": 1},
    "default_boxes": {"method": "ssdlite", "width": 16},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "onnxruntime": {"method": "onnx", "opset": 18, "decoded": True},
    "openvino": {"method": "openvino", "decoded": True},
}


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    """Networks that have learnt enough to give boxes of every confidence."""
    return {name: scenes.learnt(scenes.TASKS[name], head, 60) for name, head in HEADS.items()}


def answers(folder: Path, exported: Any) -> Arrays:
    runtime = exported.target.runtime
    opened = resolve("runtimes", {"method": runtime, "threads": 1}, "test", "runtime")
    session = opened(folder, exported)
    images = normalise(scenes.examples()[1].pixels[:24], scenes.SPEC)
    return joined([session.run({"image": image[None]}) for image in images])


@pytest.mark.parametrize(
    ("coding", "key"),
    [
        ("distances", "x86_64-onnxruntime-int8"),
        ("default_boxes", "x86_64-onnxruntime-fp32"),
        ("default_boxes", "x86_64-openvino-int8"),
    ],
)
def test_answers_are_those_of_numpy_when_the_graph_gives_them(
    networks: dict[str, Any], tmp_path: Path, coding: str, key: str
) -> None:
    task, head = scenes.TASKS[coding], HEADS[coding]
    job = scenes.job(task, networks[coding], head, tmp_path / "out", key)
    job = replace(job, ending=task.ending(scenes.SPEC))
    options = OPTIONS[job.target.runtime]
    exported = resolve("export", options, "test", "export")(job)
    raw = answers(tmp_path / "out", exported)
    maps = {each.name: raw[each.name] for each in job.outputs}
    outside, inside = task.answers.decode(maps, scenes.SPEC), task.answers.decode(raw, scenes.SPEC)
    assert (outside["category"] >= 0).sum() > 24
    assert raw["count"].tolist() == (outside["category"] >= 0).sum(axis=1).tolist()
    assert np.allclose(inside["scores"], outside["scores"], atol=1e-5)
    assert np.array_equal(inside["boxes"], raw["boxes"])
    assert task.answers.agreement(inside, outside).min() > 0.999
    if options["method"] == "onnx":
        nodes = onnx.load(tmp_path / "out" / "model.onnx").graph.node
        last = next(i for i, node in enumerate(nodes) if node.op_type == "NonMaxSuppression")
        assert all("Quantize" not in node.op_type for node in nodes[last:])
        assert (job.int8 and "QuantizeLinear" in {node.op_type for node in nodes}) or not job.int8


def test_outputs_not_finite_or_against_themselves_are_no_answer_when_the_graph_gives_them() -> None:
    task = scenes.TASKS["distances"]
    raw = {each.name: each.zeros() for each in task.answers.outputs(scenes.SPEC)}
    ending = task.ending(scenes.SPEC)
    assert ending is not None
    raw |= {each.name: each.zeros() for each in ending.outputs}
    assert task.answers.decode(raw, scenes.SPEC)["category"].max() < 0
    raw["count"][0] = raw["category"].shape[1]
    assert task.answers.decode(raw, scenes.SPEC)["category"].max() == 0
    raw["category"][0, 3] = len(scenes.CLASSES)
    assert task.answers.decode(raw, scenes.SPEC)["category"].max() < 0
    raw["category"][0, 3] = 0
    raw["scores_4"][0, 0, 0, 0] = np.nan
    assert task.answers.decode(raw, scenes.SPEC)["category"].max() < 0


def test_ending_is_refused_in_one_line_when_task_or_target_has_none(tmp_path: Path) -> None:
    task = scenes.TASKS["distances"]
    model = scenes.network(task, HEADS["distances"]).eval()
    job = scenes.job(task, model, HEADS["distances"], tmp_path, "x86_64-onnxruntime-fp32")
    with pytest.raises(
        UserError, match=r"export.onnx.decoded: the task .* has no last steps .*say false"
    ):
        resolve("export", OPTIONS["onnxruntime"], "params.yaml", "export.onnx")(job)
    with pytest.raises(UserError, match="export.tflite.decoded: unknown key"):
        resolve("export", {"method": "tflite", "decoded": True}, "params.yaml", "export.tflite")
