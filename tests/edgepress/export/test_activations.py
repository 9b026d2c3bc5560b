"""Networks whose activations and attention converters write in ways that INT8 cannot follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepress.data.preprocess import normalise
from edgepress.export.bounded import Bounded
from edgepress.export.trial import run_once
from edgepress.methods import resolve

SPEC = "x86_64-onnxruntime-fp32"


class Small(nn.Module):
    """Two convolutions with batch norms, an activation after each, and a head."""

    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3, 2, 1, bias=False),
            nn.BatchNorm2d(12),
            activation(),
            nn.Conv2d(12, 12, 3, 1, 1, groups=12, bias=False),
            nn.BatchNorm2d(12),
            activation(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, 1, H, W] to logits [N, 10]."""
        logits: Tensor = self.head(self.body(x))
        return logits


class Attending(nn.Module):
    """Patches, two layers of attention with a bias per pair of places, and a head."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(1, width, 4, 4)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.pairs = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.bias = nn.Parameter(torch.randn(heads, 16, 16))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, 1, 16, 16] to logits [N, 10]."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        for norm, pairs, out in zip(self.norms, self.pairs, self.out, strict=True):
            n, places, width = x.shape
            parts = pairs(norm(x)).reshape(n, places, 3, self.heads, width // self.heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            bias = self.bias.permute(1, 2, 0).contiguous().permute(2, 0, 1)[None]
            seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
            x = x + out(seen.transpose(1, 2).reshape(n, places, width))
        logits: Tensor = self.head(x.mean(1))
        return logits


def settled(trained: Any, network: nn.Module, spec: Any) -> Any:
    """Give batch norms the statistics of real digits and return answers to compare with."""
    images = torch.from_numpy(normalise(trained.calibration, spec))
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(images)
        network.eval()
        offset = network(images).mean(0)
        network.head.bias -= offset  # type: ignore[union-attr, operator]
        logits = network(torch.from_numpy(trained.images)).numpy()
    return replace(trained, network=network, logits=logits)


@pytest.fixture
def cosine(trained: Any, make_job: Any, answer: Any, tmp_path: Path) -> Any:
    def run(network: nn.Module, target: str, options: Any) -> float:
        torch.manual_seed(0)
        spec = make_job(tmp_path / "spec", SPEC).bundle.input
        ready = settled(trained, network, spec)
        job = make_job(tmp_path / target, target, model=ready.network)
        exported = resolve("export", options, "test", "export")(job)
        run_once(job.out, exported)
        return float(ready.cosine(answer(job.out, exported)))

    return run


LONGER = [pytest.param(layer, marks=pytest.mark.soak) for layer in (nn.SELU, nn.Mish, nn.Softplus)]


@pytest.mark.parametrize(
    ("runtime", "least"),
    [("litert", 0.97), pytest.param("executorch", 0.95, marks=pytest.mark.soak)],
)
@pytest.mark.parametrize("activation", [nn.ELU, *LONGER])
def test_int8_file_runs_and_is_near_torch_when_activations_hold_an_exponent(
    cosine: Any, runtime: str, least: float, activation: Any
) -> None:
    torch.manual_seed(0)
    options = {"method": "tflite" if runtime == "litert" else runtime}
    assert cosine(Small(activation), f"x86_64-{runtime}-int8", options) > least


@pytest.mark.parametrize(
    "activation",
    [nn.ELU(0.7), nn.CELU(1.3), nn.SELU(), nn.Softplus(2.0), nn.LogSigmoid(), nn.Mish()],
    ids=lambda layer: type(layer).__name__,
)
def test_values_are_torchs_when_written_within_bounds(activation: nn.Module) -> None:
    x = torch.linspace(-30, 30, 601)
    torch.testing.assert_close(Bounded(activation)(x), activation(x), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("runtime", "options"), [("onnxruntime", {"method": "onnx", "opset": 18}), ("openvino", None)]
)
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("int8", 0.98)])
def test_file_is_near_torch_when_the_network_attends_with_a_bias(
    cosine: Any, runtime: str, options: Any, precision: str, least: float
) -> None:
    torch.manual_seed(0)
    options = options or {"method": runtime}
    assert cosine(Attending(), f"x86_64-{runtime}-{precision}", options) > least


def test_only_inputs_of_layers_are_quantized_when_the_network_attends(
    make_job: Any, tmp_path: Path
) -> None:
    import onnx

    torch.manual_seed(0)
    job = make_job(tmp_path / "out", "x86_64-onnxruntime-int8", model=Attending().eval())
    resolve("export", {"method": "onnx", "opset": 18}, "test", "export")(job)
    graph = onnx.load(job.out / "model.onnx").graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    takers = {
        node.op_type
        for node in graph.node
        if any(made.get(name) == "DequantizeLinear" for name in node.input)
    }
    assert takers <= {"Conv", "Gemm", "MatMul"}
