"""Networks of the user's own files: what they give is what heads take, or one line says why not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgepress.backbones.features import Backbone, FeatureInfo, Features
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.5,), std=(0.5,))
COUNT = itertools.count()
NET = """
import torch
from torch import nn

def text(): return "no module"

class Vector(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, 2, 1)
    def forward(self, x):
        return self.conv(x).mean((2, 3))

class Maps(Vector):
    def __init__(self, form="list"):
        super().__init__()
        self.form = form
    def forward(self, x):
        fine = self.conv(x)
        maps = [fine, fine[..., ::2, ::2]]
        if self.form == "mapping": return dict(zip("ab", maps))
        return {"list": maps, "one": fine, "coarsest": maps[::-1]}[self.form]

class Refusing(nn.Module):
    def forward(self, x):
        raise ValueError("sides must be\\nmultiples of 32")
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """What writes a file of the user's into the working directory and returns its new name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["elsewhere", *__import__("sys").path])

    def written(text: str) -> str:
        name = f"users_net_{next(COUNT)}"
        Path(f"{name}.py").write_text(text)
        return name

    return written


def build(entry: str, features: Features = "pooled", **arguments: Any) -> Backbone:
    raw = {"method": "module", "entry": entry, "arguments": arguments}
    made: Backbone = resolve("backbones", raw, "params.yaml", "train.backbone")(SPEC, features)
    return made


def test_vector_is_pooled_features_and_arguments_reach_the_class(
    write: Callable[[str], str],
) -> None:
    body = build(f"{write(NET)}:Vector", width=6)
    assert body.info == (FeatureInfo(6, 0),)
    assert body(torch.zeros(2, 1, 16, 16)).shape == (2, 6)


@pytest.mark.parametrize(("form", "strides"), [("list", [2, 4]), ("mapping", [2, 4]), ("one", [2])])
def test_maps_are_a_list_whatever_form_they_come_in(
    form: str, strides: list[int], write: Callable[[str], str]
) -> None:
    body = build(f"{write(NET)}:Maps", "maps", form=form)
    assert [each.reduction for each in body.info] == strides
    assert isinstance(body(torch.zeros(1, 1, 16, 16)), list)


@pytest.mark.usefixtures("write")
def test_package_is_imported_when_the_entry_is_in_one() -> None:
    package = Path("users_package")
    package.mkdir()
    (package / "parts.py").write_text(NET)
    (package / "nets.py").write_text("from .parts import Vector\ndef wide(): return Vector(9)\n")
    assert build(f"{package}.nets:wide").info == (FeatureInfo(9, 0),)


@pytest.mark.parametrize(
    ("name", "features", "arguments", "words"),
    [
        ("Vektor", "pooled", {}, ["defines no class or function 'Vektor'", "did you mean Vector?"]),
        ("nn", "pooled", {}, ["defines no class or function 'nn'", "it defines text, Vector, "]),
        ("text", "pooled", {}, ["returned str, expected a torch.nn.Module"]),
        ("Vector", "pooled", {"wide": 3}, ["{'wide': 3}: TypeError: ", "'wide'"]),
        ("Refusing", "pooled", {}, ["cannot take an input of 16 x 16", "sides must be multiples"]),
        ("Refusing", "outputs", {}, ["cannot take an input of 16 x 16", "sides must be multiples"]),
        ("Maps", "pooled", {}, ["gives maps, and the head takes one vector", "pooling"]),
        ("Vector", "maps", {}, ["strides [0], and the head takes maps [N, C, H, W]"]),
        ("Maps", "maps", {"form": "coarsest"}, ["strides [4, 2], and the", "the finest first"]),
    ],
)  # fmt: skip
def test_module_is_refused_in_one_line_when_it_is_not_what_the_head_takes(
    name: str,
    features: Features,
    arguments: dict[str, Any],
    words: list[str],
    write: Callable[[str], str],
) -> None:
    with pytest.raises(UserError) as refused:
        build(f"{write(NET)}:{name}", features, **arguments)
    assert all(word in str(refused.value) for word in words), refused.value


def test_import_is_refused_in_one_line_when_it_fails(write: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match="importing it failed: ZeroDivisionError: division by zero"):
        build(f"{write('1 / 0')}:Vector")
    with pytest.raises(UserError, match="failed: ModuleNotFoundError: No module named 'no_such_'"):
        build(f"{write('import no_such_')}:Vector")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("os:system", "there is no os.py in the working directory"),
        ("torch.hub:load", "there is no torch/hub.py in the working directory"),
        ("net.py", "train.backbone.entry: String should match pattern"),
        ("../net:Net", "train.backbone.entry: String should match pattern"),
        ("net:os.system", "train.backbone.entry: String should match pattern"),
    ],
)
def test_entry_is_refused_when_it_is_not_of_the_working_directory(
    entry: str, words: str, write: Callable[[str], str]
) -> None:
    write(NET)
    with pytest.raises(UserError, match=words):
        build(entry)


def test_entry_is_refused_when_another_module_has_its_name(write: Callable[[str], str]) -> None:
    write(NET)
    Path("yaml.py").write_text(NET)
    with pytest.raises(UserError, match=r"yaml.*has the same name and was imported before; rename"):
        build("yaml:Vector")
