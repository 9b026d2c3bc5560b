"""A real little network on real digits: its answers in NumPy, its exports in ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Interval, Latency
from edgepress.records.reference import OpenReference, sampled
from edgepress.tasks.task import Task
from edgepress.validation import latency, memory
from edgepress.validation.measure import Truth
from edgepress.validation.subject import Subject
from tests.classified import open_task
from tests.exported import BUNDLE, export_as

Array = npt.NDArray[np.float32]
SPEC = InputSpec(height=16, width=16, channels=3, mean=(0.3, 0.3, 0.5), std=(0.35, 0.35, 0.4))
DIGITS = open_task(tuple("0123456789"))


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
    """Two layers, [inputs, hidden] and [hidden, classes], each with its bias."""

    first: Array
    first_bias: Array
    second: Array
    second_bias: Array

    def logits(self, inputs: Array) -> Array:
        hidden = np.maximum(inputs.reshape(len(inputs), -1) @ self.first + self.first_bias, 0)
        return (hidden @ self.second + self.second_bias).astype(np.float32)


@pytest.fixture(scope="session")
def digits() -> tuple[Digits, Digits]:
    """Train and test digits, 16 x 16 x 3."""
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = np.kron(data.images, np.ones((2, 2))) * (255 / 16)
    colour = np.stack([grey, np.roll(grey, 1, axis=2), 255 - grey], axis=-1).astype(np.uint8)
    labels = data.target.astype(np.int64)
    return Digits(colour[450:], labels[450:]), Digits(colour[:450], labels[:450])


def fit(train: Digits, seed: int, epochs: int = 15, targets: Any = None) -> Weights:
    """Train with sklearn's perceptron, on the digits or on `targets`; the same for a seed."""
    from sklearn.neural_network import MLPClassifier

    inputs = train.inputs(SPEC).reshape(len(train.labels), -1)
    network = MLPClassifier((32,), alpha=0.01, max_iter=epochs, tol=0.0, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(inputs, train.labels if targets is None else targets)
    (first, second), (first_bias, second_bias) = network.coefs_, network.intercepts_
    return Weights(*(part.astype(np.float32) for part in (first, first_bias, second, second_bias)))


@pytest.fixture(scope="session")
def weights(digits: tuple[Digits, Digits]) -> Weights:
    return fit(digits[0], 0)


@pytest.fixture(scope="session")
def task() -> Task:
    return DIGITS


@pytest.fixture(scope="session")
def reference(digits: tuple[Digits, Digits], weights: Weights, task: Task) -> OpenReference:
    test = digits[1]
    ids = tuple(f"digit-{index}" for index in range(len(test.labels)))
    logits = weights.logits(test.inputs(SPEC))
    rows = sampled(ids, task.answers.outputs(SPEC))
    answers = task.answers.decode({"logits": logits}, SPEC)
    raw = {"logits": logits[list(rows)]}
    return OpenReference(ids, {"label": test.labels}, answers, rows, raw, BUNDLE)


MakeTruth = Callable[..., Truth]


@pytest.fixture(scope="session")
def truth(digits: tuple[Digits, Digits], reference: OpenReference, task: Task) -> MakeTruth:
    """Return what an export is held against: the test digits as its own record prepares them."""

    def make(subject: Subject, batches: int = 7) -> Truth:
        parts = np.array_split(digits[1].inputs(subject.exported.input), batches)
        return Truth(reference, [{"image": part} for part in parts], task, SPEC)

    return make


def make_graph(weights: Weights) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Flatten", ["image"], ["a"], name="flatten"),
        helper.make_node("Gemm", ["a", "first", "first_bias"], ["b"], name="gemm1"),
        helper.make_node("Relu", ["b"], ["c"], name="relu"),
        helper.make_node("Gemm", ["c", "second", "second_bias"], ["d"], name="gemm2"),
        helper.make_node("Identity", ["d"], ["logits"], name="end"),
    ]
    held = [
        numpy_helper.from_array(np.ascontiguousarray(part), name)
        for name, part in asdict(weights).items()
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])
    shape = [1, weights.second.shape[1]]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    made = helper.make_graph(nodes, "digits", [image], [logits], held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def make_int8(model: Any, images: Array, folder: Path, reduce_range: bool = True) -> Any:
    """Static Q/DQ per channel; 7-bit weights are right on processors without VNNI too."""
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
        reduce_range=reduce_range,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": True},
    )
    return onnx.load(result)


@pytest.fixture(scope="session")
def graph() -> Callable[..., Any]:
    """Return the function that writes weights as an ONNX model."""
    return make_graph


@pytest.fixture(scope="session")
def quantize() -> Callable[..., Any]:
    """Return the function that quantizes an ONNX model."""
    return make_int8


@pytest.fixture(scope="session")
def learn() -> Callable[..., Weights]:
    """Return the function that trains on digits."""
    return fit


@pytest.fixture(scope="session")
def spec() -> InputSpec:
    """Return what the network was trained on."""
    return SPEC


@pytest.fixture(scope="session")
def stale(digits: tuple[Digits, Digits]) -> Weights:
    """Return the same training, stopped earlier."""
    return fit(digits[0], 0, epochs=8)


@pytest.fixture(scope="session")
def model(weights: Weights) -> Any:
    """Return the healthy float export."""
    return make_graph(weights)


@pytest.fixture(scope="session")
def quantized(
    digits: tuple[Digits, Digits], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Any], Any]:
    """Return a function that quantizes a model with 64 training images."""
    images = digits[0].inputs(SPEC)[:64]
    return lambda model: make_int8(model, images, tmp_path_factory.mktemp("int8"))


@pytest.fixture(scope="session")
def int8(model: Any, quantized: Callable[[Any], Any]) -> Any:
    """Return the healthy INT8 export."""
    return quantized(model)


Write = Callable[..., Subject]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes an ONNX model as an export and reads it back."""

    def write_export(
        model: Any,
        key: str = "x86_64-onnxruntime-fp32",
        spec: InputSpec = SPEC,
        bundle: str = BUNDLE,
        task: Task = DIGITS,
    ) -> Subject:
        folder = tmp_path / f"export-{len(list(tmp_path.iterdir()))}"
        return export_as(model, folder, key, (task, spec), bundle)

    return write_export


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are in the answers: give every export good times and little memory."""

    def near(value: float) -> Interval:
        return Interval(value=value, low=value, high=value)

    fast = Latency(
        p50_ms=near(0.1),
        p90_ms=near(0.1),
        p99_ms=near(0.1),
        runs=400,
        warmup_runs=10,
        threads=1,
        speedup=near(2.0),
    )
    held = memory.Memory("ran", peak_mb=80.0, idle_mb=40.0)
    monkeypatch.setattr(latency, "measure", lambda call, other, plan: fast)
    monkeypatch.setattr(memory, "measure", lambda folder, threads: held)
