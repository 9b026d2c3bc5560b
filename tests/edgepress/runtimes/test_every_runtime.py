"""What every runtime of this host holds: the network's answers, and a file without its record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgepress.runtimes import bare

METHODS = {
    "onnxruntime": {"method": "onnx", "opset": 18},
    "openvino": {"method": "openvino"},
    "litert": {"method": "tflite"},
    "executorch": {"method": "executorch"},
}
HELD = [(f"x86_64-{runtime}-fp32", options) for runtime, options in METHODS.items()]
BARE = [*HELD, ("x86_64-onnxruntime-int8", METHODS["onnxruntime"])]


@pytest.mark.parametrize(("target", "options"), HELD)
def test_logits_equal_the_networks_when_the_file_is_float(
    small_export, load_session, small_network, images, target: str, options: dict[str, Any]
):
    session = load_session(*small_export(target, **options))
    expected = small_network(torch.from_numpy(images)).detach().numpy()
    answers = np.concatenate([session.run(image[None]) for image in images])
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=1e-5)


@pytest.mark.parametrize(("target", "options"), HELD)
def test_answer_is_unchanged_when_another_image_follows(
    small_export, load_session, images, target: str, options: dict[str, Any]
):
    session = load_session(*small_export(target, **options))
    first = session.run(images[:1])
    kept = first.copy()
    session.run(images[1:2])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(("target", "options"), BARE)
def test_bare_file_runs_as_the_session_does_when_opened_alone(
    small_export, load_session, images, target: str, options: dict[str, Any]
):
    folder, exported = small_export(target, **options)
    alone = bare.load(folder / exported.part.entry, 1, {})
    (slot,) = alone.inputs
    (port,) = exported.part.inputs
    assert (slot.name, slot.shape, slot.dtype) == (port.stored, port.stored_shape, np.float32)
    stored = images[:1].transpose([port.tensor.layout.index(axis) for axis in port.layout])
    found = np.asarray(alone.run([np.ascontiguousarray(stored)])[0])
    np.testing.assert_array_equal(found, load_session(folder, exported).run(images[:1]))
    alone.close()
