from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from edgepress.backbones import bundle, surgery
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.bundle import WEIGHTS
from edgepress.records.inputs import InputSpec

BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}
SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.3,))


def _network(backbone: dict[str, object] = BACKBONE) -> nn.Module:
    torch.manual_seed(1)
    network: nn.Module = resolve("backbones", backbone, "params.yaml", "b")(1, 3)
    return network.eval()


def _draft(**changes: object) -> bundle.Draft:
    fields = {"backbone": BACKBONE, "classes": ("a", "b", "c"), "input": SPEC, "lineage": {}}
    return bundle.Draft(**{**fields, **changes})  # type: ignore[arg-type]


def _answers(network: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return network(torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8))


def test_rebuilt_network_answers_bit_for_bit_when_saved_and_loaded(tmp_path: Path) -> None:
    network = _network()
    saved = bundle.save(tmp_path, network, _draft())
    record, again = bundle.load(tmp_path)
    assert record == saved
    assert torch.equal(_answers(network), _answers(again))


def test_rebuilt_network_answers_bit_for_bit_when_channels_were_pruned(tmp_path: Path) -> None:
    import torch_pruning

    network, fresh = _network(), _network()
    torch_pruning.pruner.BasePruner(
        network,
        torch.zeros(SPEC.shape),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=[network.fc],
    ).step()
    steps = surgery.difference(fresh, network)
    record = bundle.save(tmp_path, network, _draft(surgery=steps))
    _, again = bundle.load(tmp_path)
    assert torch.equal(_answers(network.eval()), _answers(again))
    assert record.parameters < sum(p.numel() for p in fresh.parameters()) / 2


def test_timm_model_is_rebuilt_when_named_with_arguments(tmp_path: Path) -> None:
    raw = {"method": "timm", "model": "test_byobnet", "arguments": {"drop_rate": 0.1}}
    spec = InputSpec(height=32, width=32, channels=1, mean=(0.3,), std=(0.3,))
    network = _network(raw)
    bundle.save(tmp_path, network, _draft(backbone=raw, input=spec))
    _, again = bundle.load(tmp_path)
    sample = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network(sample), again(sample))


def test_load_is_refused_when_weights_were_changed(tmp_path: Path) -> None:
    bundle.save(tmp_path, _network(), _draft())
    path = tmp_path / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="does not match weights_sha256"):
        bundle.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"schema_version": 2}, "schema_version 2 is unknown"),
        ({"classes": ["only"]}, "classes"),
        ({"surgery": [{"module": "nope", "attributes": {}, "shapes": {}}]}, "no module 'nope'"),
        ({"backbone": {"method": "resnet_cifer"}}, "did you mean resnet_cifar"),
    ],
)
def test_load_is_refused_when_the_record_is_wrong(
    tmp_path: Path, change: dict[str, object], rule: str
) -> None:
    bundle.save(tmp_path, _network(), _draft())
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=rule):
        bundle.load(tmp_path)


def test_load_is_refused_when_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model.json: file not found"):
        bundle.load(tmp_path)


def test_timm_backbone_suggests_the_nearest_when_the_name_is_wrong() -> None:
    with pytest.raises(UserError, match="did you mean resnet18"):
        _network({"method": "timm", "model": "resnet18x"})
