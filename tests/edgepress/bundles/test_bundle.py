from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgepress.bundles import bundle, surgery
from edgepress.errors import UserError
from edgepress.records.bundle import WEIGHTS
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_file
from tests.classified import network, open_task

BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}
SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.3,))


def _network(backbone: dict[str, object] = BACKBONE, spec: InputSpec = SPEC) -> nn.Module:
    torch.manual_seed(1)
    return network(spec, 3, backbone).eval()


def _draft(**changes: object) -> bundle.Draft:
    fields = {
        "task": open_task(("a", "b", "c")),
        "backbone": BACKBONE,
        "head": {"method": "linear"},
        "input": SPEC,
        "lineage": {},
    }
    return bundle.Draft(**{**fields, **changes})  # type: ignore[arg-type]


def _answers(asked: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return asked(torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8))


def test_rebuilt_network_answers_bit_for_bit_when_saved_and_loaded(tmp_path: Path) -> None:
    made = _network()
    saved = bundle.save(tmp_path, made, _draft())
    record, again = bundle.load(tmp_path)
    assert record == saved
    assert torch.equal(_answers(made), _answers(again))


def test_rebuilt_network_answers_bit_for_bit_when_channels_were_pruned(tmp_path: Path) -> None:
    import torch_pruning

    cut, fresh = _network(), _network()
    torch_pruning.pruner.BasePruner(
        cut,
        torch.zeros(SPEC.shape),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=[cut.head.fc],
    ).step()
    steps = surgery.difference(fresh, cut)
    record = bundle.save(tmp_path, cut, _draft(surgery=steps))
    _, again = bundle.load(tmp_path)
    assert torch.equal(_answers(cut.eval()), _answers(again))
    assert record.parameters < sum(p.numel() for p in fresh.parameters()) / 2


def test_timm_model_is_rebuilt_when_named_with_arguments(tmp_path: Path) -> None:
    raw = {"method": "timm", "model": "test_byobnet", "arguments": {"drop_rate": 0.1}}
    spec = InputSpec(height=32, width=32, channels=1, mean=(0.3,), std=(0.3,))
    made = _network(raw, spec)
    bundle.save(tmp_path, made, _draft(backbone=raw, input=spec))
    _, again = bundle.load(tmp_path)
    sample = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        assert torch.equal(made(sample), again(sample))


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
        ({"schema_version": 3}, "schema_version 3 is unknown"),
        ({"classes": []}, "classes"),
        (
            {"surgery": [{"kind": "drop", "module": "nope"}]},
            "no module 'nope'",
        ),
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


def test_save_is_refused_when_the_record_cannot_say_what_the_network_does(tmp_path: Path) -> None:
    made = _network()
    made.backbone.relu = nn.SiLU()
    with pytest.raises(UserError, match="read back, the network answers otherwise"):
        bundle.save(tmp_path, made, _draft())


OLD = Path(__file__).parents[2] / "fixtures" / "schema1"


def test_old_bundle_gives_the_same_logits_when_read_in_the_new_classes() -> None:
    record, old = bundle.load(OLD)
    with np.load(OLD / "answers.npz", allow_pickle=False) as held:
        images, logits, labels = held["images"], held["logits"], held["labels"]
    with torch.inference_mode():
        found = old(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)
    assert (found.argmax(1) == logits.argmax(1)).all()
    task = open_task(record.classes)
    ours = task.answers.decode({"logits": found}, record.input)
    scores = task.answers.score(ours, None, {"label": labels}, 0.95)
    assert scores[0].value.value == (logits.argmax(1) == labels).mean()
    assert {step.kind for step in record.surgery} == {"resize"}


def test_old_bundle_of_a_timm_model_is_read_when_its_classifier_has_a_name(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    old = timm.create_model("test_resnet", in_chans=1, num_classes=3).eval()
    save_file(dict(old.state_dict()), tmp_path / WEIGHTS)
    spec = InputSpec(height=32, width=32, channels=1, mean=(0.3,), std=(0.3,))
    record = {
        "schema_version": 1,
        "task": "classification",
        "backbone": {"method": "timm", "model": "test_resnet"},
        "classes": ["a", "b", "c"],
        "input": spec.model_dump(),
        "surgery": [],
        "parameters": 1,
        "macs": 1,
        "lineage": {},
        "weights_sha256": sha256_file(tmp_path / WEIGHTS),
    }
    (tmp_path / "model.json").write_text(json.dumps(record))
    _, again = bundle.load(tmp_path)
    sample = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(again(sample), old(sample))
