from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgepress.data.preprocess import normalise
from edgepress.errors import UserError
from edgepress.export.coreml import Params
from edgepress.export.coreml import export as write
from edgepress.export.export_job import NotExportedError
from edgepress.runtimes.mil.program import read_program

OPTIONS = {"method": "coreml", "minimum_deployment_target": "iOS17"}
FP32, INT8 = "apple-coreml-fp32", "apple-coreml-int8"


class Branching(nn.Module):
    """A network whose path depends on its input's values."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, 1, H, W] to logits [N, 10]."""
        logits: torch.Tensor = self.network(x if x.sum() > 0 else -x)
        return logits


class Shapes(nn.Module):
    """A network that computes a number from a shape, as ViT, Swin and ShuffleNet do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [N, 1, H, W] to logits [N, 10]."""
        n, c, h, w = x.shape
        flat = x.reshape(n, c, int(h * w))
        logits: torch.Tensor = self.network(flat.reshape(n, c, h, w))
        return logits


def kinds(folder: Path) -> list[str]:
    return [step.kind for step in read_program(folder / "model.mlpackage").operations]


def test_float_graph_answers_as_torch_when_interpreted(
    trained: Any, export: Any, answer: Any
) -> None:
    answers = answer(*export(FP32, OPTIONS), "stand_in")
    assert trained.cosine(answers) >= 0.9999
    assert np.abs(answers - trained.logits).max() < 1e-3


def test_int8_graph_is_near_torch_and_its_weights_smaller_when_interpreted(
    trained: Any, export: Any, answer: Any
) -> None:
    folder, exported = export(INT8, OPTIONS)
    answers = answer(folder, exported, "stand_in")
    assert trained.cosine(answers) >= 0.98
    assert (answers.argmax(1) == trained.logits.argmax(1)).mean() >= 0.97
    weights = "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    sizes = {name: (export(name, OPTIONS)[0] / weights).stat().st_size for name in (FP32, INT8)}
    assert sizes[INT8] < 0.35 * sizes[FP32]
    found = kinds(folder)
    assert found.count("constexpr_affine_dequantize") >= 10
    assert found.count("quantize") >= 10


@pytest.mark.parametrize("system", ["iOS17", "iOS18"])
def test_int8_graph_is_near_torch_and_its_bytes_repeat_when_convolutions_are_depthwise(
    mixed: Any, make_job: Any, answer: Any, tmp_path: Path, system: Any
) -> None:
    first, second = (
        write(
            make_job(tmp_path / name, INT8, model=mixed.network),
            params=Params(method="coreml", minimum_deployment_target=system),
        )
        for name in ("first", "second")
    )
    assert first.files == second.files
    assert mixed.cosine(answer(tmp_path / "first", first, "stand_in")) >= 0.98


def test_int8_graph_is_near_torch_when_norms_are_timms(
    trained: Any, make_job: Any, answer: Any, tmp_path: Path
) -> None:
    from timm.layers import BatchNormAct2d

    spec = make_job(tmp_path / "out", INT8).bundle.input
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        BatchNormAct2d(8, act_layer=nn.ReLU6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(normalise(trained.calibration, spec)))
        expected = network.eval()(torch.from_numpy(trained.images)).numpy()
    job = make_job(tmp_path / "out", INT8, model=network)
    answers = answer(job.out, write(job, params=Params(**OPTIONS)), "stand_in")
    assert dataclasses.replace(trained, logits=expected).cosine(answers) >= 0.98
    assert "batch_norm" not in kinds(job.out)


def test_package_is_whole_when_its_ids_are_replaced(export: Any) -> None:
    folder, _ = export(FP32, OPTIONS)
    manifest = json.loads((folder / "model.mlpackage/Manifest.json").read_text())
    items = manifest["itemInfoEntries"]
    assert items[manifest["rootModelIdentifier"]]["path"] == "com.apple.CoreML/model.mlmodel"
    for item in items.values():
        assert (folder / "model.mlpackage/Data" / item["path"]).exists()


def test_record_describes_the_package_when_float(export: Any) -> None:
    folder, exported = export(FP32, OPTIONS)
    assert (exported.format, exported.part.entry) == ("coreml", "model.mlpackage")
    assert len(exported.files) == 3
    assert any("float32" in note for note in exported.notes)
    assert "cast" not in kinds(folder)


def test_network_is_left_as_found_when_quantized(make_job: Any, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out", INT8)
    before = {name: value.clone() for name, value in job.model.state_dict().items()}
    write(job, params=Params(**OPTIONS))
    assert not any(module.training for module in job.model.modules())
    assert all(torch.equal(before[name], value) for name, value in job.model.state_dict().items())


def test_terminal_stays_clean_when_exporting(make_job: Any, tmp_path: Path, capfd: Any) -> None:
    write(make_job(tmp_path / "out", FP32), params=Params(**OPTIONS))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("system", ["iOS15", "iOS16"])
def test_int8_is_refused_when_the_system_is_too_old(
    make_job: Any, tmp_path: Path, system: Any
) -> None:
    params = Params(method="coreml", minimum_deployment_target=system)
    with pytest.raises(UserError, match=f"needs coreml.minimum_deployment_target iOS17.*{system}"):
        write(make_job(tmp_path / "out", INT8), params=params)


def test_int8_is_refused_when_the_network_cannot_be_followed(
    trained: Any, make_job: Any, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "out", INT8, model=Branching(trained.network).eval())
    with pytest.raises(NotExportedError, match=r"torch\.fx cannot follow this network"):
        write(job, params=Params(**OPTIONS))


def test_network_converts_when_it_computes_a_number_from_a_shape(
    trained: Any, make_job: Any, answer: Any, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "out", FP32, model=Shapes(trained.network).eval())
    exported = write(job, params=Params(**OPTIONS))
    assert trained.cosine(answer(tmp_path / "out", exported, "stand_in")) >= 0.9999


def test_float_layers_stay_float_when_all_else_is_int8(parted: Any) -> None:
    exported, off = parted(INT8, OPTIONS, function="stand_in")
    assert max(off.values()) < 0.1
    assert "float by the recipe: boxes, left, right" in exported.notes
