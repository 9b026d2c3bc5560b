"""A real little network on real digits: float answers in NumPy, exports as ONNX, healthy or with faults."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgepress.devices.measure import Reference
from edgepress.devices.subject import Subject
from edgepress.records.exported import Exported, ExportedFile
from edgepress.records.inputs import InputSpec
from edgepress.records.target import Target

Array = npt.NDArray[np.float32]
SPEC = InputSpec(height=16, width=16, channels=3, mean=(0.3, 0.3, 0.5), std=(0.35, 0.35, 0.4))
BUNDLE = "b" * 64


@dataclass(frozen=True)
class Digits:
    """Three-channel digits: the digit, the digit moved one pixel, and its negative."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def inputs(self, spec: InputSpec) -> Array:
        scaled = (self.pixels / 255.0 - np.array(spec.mean)) / np.array(spec.std)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


@dataclass(frozen=True)
class Weights:
    """Two convolutions drawn by lot and a classifier fitted to them."""

    first: Array
    second: Array
    head: Array
    bias: Array

    def features(self, inputs: Array) -> Array:
        hidden = np.maximum(_convolve(_convolve_relu(inputs, self.first), self.second), 0)
        return hidden.reshape(len(inputs), -1)

    def logits(self, inputs: Array) -> Array:
        return (self.features(inputs) @ self.head + self.bias).astype(np.float32)


def _convolve_relu(x: Array, kernel: Array) -> Array:
    return np.maximum(_convolve(x, kernel), 0)


def _convolve(x: Array, kernel: Array) -> Array:
    """3 x 3, stride 2, one pixel of padding."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    return np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True).astype(np.float32)


@pytest.fixture(scope="session")
def digits() -> tuple[Digits, Digits]:
    """Train and test digits, 16 x 16 x 3."""
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = np.kron(data.images, np.ones((2, 2))) * (255 / 16)
    colour = np.stack([grey, np.roll(grey, 1, axis=2), 255 - grey], axis=-1).astype(np.uint8)
    labels = data.target.astype(np.int64)
    return Digits(colour[450:], labels[450:]), Digits(colour[:450], labels[:450])


def fit(train: Digits, seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    first = (rng.normal(size=(8, 3, 3, 3)) / 5).astype(np.float32)
    # Channels of unlike scale, as batch norm folded into weights makes them.
    scale = np.exp(rng.normal(size=(24, 1, 1, 1))).astype(np.float32)
    second = (scale * rng.normal(size=(24, 8, 3, 3)) / 8).astype(np.float32)
    draft = Weights(first, second, np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    features = draft.features(train.inputs(SPEC)).astype(np.float64)
    columns = np.hstack([features, np.ones((len(features), 1))])
    goal = np.eye(10)[train.labels] * 10 - 2
    ridge = columns.T @ columns + 3.0 * np.eye(columns.shape[1])
    solved = np.linalg.solve(ridge, columns.T @ goal).astype(np.float32)
    return Weights(first, second, solved[:-1], solved[-1])


@pytest.fixture(scope="session")
def weights(digits: tuple[Digits, Digits]) -> Weights:
    return fit(digits[0], 0)


@pytest.fixture(scope="session")
def reference(digits: tuple[Digits, Digits], weights: Weights) -> Reference:
    test = digits[1]
    ids = tuple(f"digit-{index}" for index in range(len(test.labels)))
    return Reference(ids, test.labels, weights.logits(test.inputs(SPEC)), BUNDLE)


def graph(weights: Weights, softmax: bool = False) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    stride: dict[str, Any] = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], name="conv1", **stride),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        helper.make_node("Conv", ["b", "second"], ["c"], name="conv2", **stride),
        helper.make_node("Relu", ["c"], ["d"], name="relu2"),
        helper.make_node("Flatten", ["d"], ["e"], name="flatten"),
        helper.make_node("Gemm", ["e", "head", "bias"], ["f"], name="gemm"),
        helper.make_node("Softmax" if softmax else "Identity", ["f"], ["logits"], name="end"),
    ]
    held = [
        numpy_helper.from_array(np.ascontiguousarray(getattr(weights, name)), name)
        for name in ("first", "second", "head", "bias")
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])
    made = helper.make_graph(nodes, "digits", [image], [logits], held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def quantize(model: Any, images: Array, folder: Path) -> Any:
    """Static Q/DQ, symmetric int8 per channel: right on processors without VNNI too."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, Array] | None:
            image = next(self.left, None)
            return None if image is None else {"image": image[None]}

    source, result = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, source)
    quantize_static(
        source,
        result,
        Images(),
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": True},
    )
    return onnx.load(result)


Write = Callable[..., Subject]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes an ONNX model as an export and reads it back."""

    def write_export(
        model: Any,
        key: str = "x86_64-onnxruntime-fp32",
        spec: InputSpec = SPEC,
        bundle: str = BUNDLE,
    ) -> Subject:
        folder = tmp_path / f"export-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        content = model if isinstance(model, bytes) else model.SerializeToString()
        (folder / "model.onnx").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        Exported(
            target=Target.parse(key),
            format="onnx",
            entry="model.onnx",
            files=(ExportedFile(path="model.onnx", sha256=digest, bytes=len(content)),),
            input=spec,
            layout="NCHW",
            input_name="image",
            output_name="logits",
            classes=tuple("0123456789"),
            tools={},
            bundle_sha256=bundle,
            calibration_sha256=None,
        ).write(folder)
        return Subject.read(folder)

    return write_export
