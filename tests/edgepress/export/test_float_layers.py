"""Layers that a recipe leaves in float: what 8 bits would ruin is right in every format.

Each toolchain's own case is in the file of its tests.
"""

from __future__ import annotations

from typing import Any

import pytest

from edgepress.errors import UserError
from edgepress.export.export_job import NotExportedError
from edgepress.export.float_layers import refuse_missing, with_followers
from edgepress.export.toolchain import Toolchain

ONNX = ("x86_64-onnxruntime-int8", {"method": "onnx", "opset": 18})


def test_outputs_are_ruined_when_nothing_is_left_in_float(parted: Any) -> None:
    """What the toolchains' cases rest on: the layers are such that 8 bits show."""
    exported, off = parted(*ONNX, layers=())
    assert min(off.values()) > 0.5
    assert not any("float by the recipe" in note for note in exported.notes)


def test_one_output_is_right_when_only_its_layer_is_left_in_float(parted: Any) -> None:
    _, off = parted(*ONNX, layers=("boxes",))
    assert off["boxes"] < 0.1
    assert off["scores"] > 0.5


def test_float_layers_are_left_when_a_recipe_quantizes_weights_alone(parted: Any) -> None:
    """Then the exporter's own steps are written, not the toolchain's."""
    for activations, off in (("float32", 0.02), ("int8", 0.1)):
        tensors = {"trunk.0": {"bits": 8}} if activations == "int8" else {}
        _, found = parted(*ONNX, activations=activations, tensors=tensors)
        assert max(found.values()) < off


def test_export_is_refused_when_the_network_has_no_such_layer(parted: Any) -> None:
    with pytest.raises(UserError, match="'boxs' is no parameter, module or input"):
        parted(*ONNX, layers=("boxs",))


def test_export_is_refused_in_one_line_when_a_layer_cannot_be_told_from_others() -> None:
    refuse_missing(Toolchain("X"), ["a"], {"a"})
    with pytest.raises(NotExportedError, match=r"^X cannot hold b with float elements: there, "):
        refuse_missing(Toolchain("X"), ["a", "b"], {"a"})


def test_every_step_behind_the_first_is_found_when_paths_meet() -> None:
    takers = {"a": "bc", "b": "d", "c": "d", "d": "", "x": "a"}
    assert with_followers("b", takers.__getitem__) == {"b", "d"}
    assert with_followers("a", takers.__getitem__) == {"a", "b", "c", "d"}
    assert with_followers("", takers.__getitem__) == set()
