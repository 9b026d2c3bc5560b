from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.params import read_yaml
from edgepress.sweeping.space import Axis, Space, preset, with_values

ROOT = Path(__file__).parents[3]
RATE = "train.recipe.learning_rate"


@pytest.fixture
def params() -> dict[str, Any]:
    return read_yaml(ROOT / "params.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{RATE}=log:0.001..0.1", Axis(RATE, "log", (0.001, 0.1))),
        (f"{RATE}=log:1e-4..1", Axis(RATE, "log", (0.0001, 1.0))),
        ("a.b=float:0..0.2", Axis("a.b", "float", (0.0, 0.2))),
        ("a.b=int:8..64", Axis("a.b", "int", (8, 64))),
        ("a.b=choice:sgd,null,0.5", Axis("a.b", "choice", ("sgd", None, 0.5))),
    ],
)
def test_axis_is_read_when_it_is_spelled_well(text: str, expected: Axis) -> None:
    assert Axis.parse(text) == expected
    assert Axis.parse(str(expected).replace("None", "null")) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RATE, "expected KEY=log:LOW..HIGH"),
        (f"{RATE}=log:0..1", "a logarithm needs LOW above 0"),
        (f"{RATE}=float:1..1", "LOW below HIGH"),
        (f"{RATE}=int:1..2.5", "LOW below HIGH"),
        (f"{RATE}=float:a..b", "LOW below HIGH"),
        (f"{RATE}=choice:1", "two choices or more"),
        (f"{RATE}=choice:1,1", "none twice"),
    ],
)
def test_axis_is_refused_in_words_when_it_is_not(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Axis.parse(text)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([f"{RATE}=float:0..1", "distill.recipe.weight=float:0..1"], "keys of one network"),
        (["slim.ratio=float:0.1..0.5"], "keys of one network"),
        ([f"{RATE}=log:0.1..1", f"{RATE}=log:0.1..1"], "named twice"),
        (["train.recipe.learnig_rate=log:0.1..1"], "unknown key.*learning_rate"),
        (["train.recipe.optimizer.method=choice:sgd,adamx"], "adamx"),
        (["train.weights.path=choice:a,b"], "is no mapping"),
        (["train.nothing.at_all=int:1..2"], "'nothing' is missing"),
    ],
)
def test_space_is_refused_before_any_trial_when_a_value_cannot_be(
    texts: list[str], said: str, params: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=said):
        Space.parse(texts, params, "params.yaml")


def test_space_has_the_section_of_its_keys_when_it_holds(params: dict[str, Any]) -> None:
    texts = ["distill.recipe.temperature=float:1..8", "distill.backbone.width=choice:8,16"]
    space = Space.parse(texts, params, "params.yaml")
    assert space.section == "distill"
    room, entry = space.recipe(params)
    assert (room, entry["method"]) == ("distillation", "logits")


def test_values_are_put_in_place_and_params_left_when_a_trial_is_made(
    params: dict[str, Any],
) -> None:
    changed = with_values(params, {RATE: 0.5, "train.recipe.ema": 0.9})
    assert changed["train"]["recipe"]["learning_rate"] == 0.5
    assert changed["train"]["recipe"]["ema"] == 0.9
    assert params["train"]["recipe"]["learning_rate"] == 0.1
    assert preset(params, {RATE: 0.5, "train.backbone.width": 8}) == {
        "train": {"recipe": {"learning_rate": 0.5}, "backbone": {"width": 8}}
    }


def test_key_of_a_named_recipe_can_be_tried_when_params_do_not_write_it(
    params: dict[str, Any],
) -> None:
    params["train"]["recipe"] = {"method": "supervised", "base": "small_data", "epochs": 3}
    texts = ["train.recipe.schedule.warmup=float:0..0.2", f"{RATE}=log:0.001..0.1"]
    values = {"train.recipe.schedule.warmup": 0.15, RATE: 0.01}
    space = Space.parse(texts, params, "params.yaml")
    room, entry = space.recipe(with_values(params, values))
    tried = resolve(room, entry, "params.yaml", "train.recipe").params
    assert (tried.schedule.params.warmup, tried.schedule.params.floor) == (0.15, 0.01)  # type: ignore[attr-defined]
    assert tried.epochs == 3  # type: ignore[attr-defined]
    chosen = preset(params, values)["train"]["recipe"]
    assert chosen["learning_rate"] == 0.01
    assert set(chosen) == {"learning_rate", "schedule"}
    assert chosen["schedule"] == {"method": "cosine", "warmup": 0.15, "floor": 0.01, "cycles": 1}
