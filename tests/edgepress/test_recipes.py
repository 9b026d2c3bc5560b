"""Named recipes: sound, visible, and part of what makes a training stale."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress import recipes
from edgepress.cli import main
from edgepress.commands.preset import merge
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.sections import problems
from edgepress.state.code import Execution, Tree
from edgepress.training.supervised import Params

ROOT = Path(__file__).parents[2]
CLASSIFIED = [name for name in recipes.known() if name != "detector"]


def _params() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def _train(base: str, **own: Any) -> dict[str, Any]:
    tree = _params()
    tree["train"]["recipe"] = {"method": "supervised", "base": base, **own}
    return tree


@pytest.mark.parametrize("name", recipes.known())
def test_recipe_is_whole_and_says_what_it_is_for(name: str) -> None:
    held = recipes.values(name, "test")
    assert set(held) <= set(Params.model_fields) - {"method", "base"}
    found = resolve("training", {"method": "supervised", "base": name}, "test", "recipe")
    plain = resolve("training", {"method": "supervised", **held}, "test", "recipe")
    assert found.params.model_copy(update={"base": None}) == plain.params
    assert recipes.summary(name).endswith(".")


@pytest.mark.parametrize("name", CLASSIFIED)
def test_recipe_holds_for_a_classification(name: str) -> None:
    assert problems(_train(name), "params.yaml") == []


def test_recipe_for_detectors_holds_with_a_detectors_parameters() -> None:
    preset = yaml.safe_load((ROOT / "presets" / "bccd.yaml").read_text())
    preset["train"]["recipe"] = {"base": "detector", "batch": 4}
    preset["ingest"]["source"]["path"] = str(ROOT)
    after = yaml.safe_load(merge((ROOT / "params.yaml").read_text(), preset, "bccd"))
    assert problems(after, "params.yaml") == []
    recipe = resolve("training", after["train"]["recipe"], "x", "y").params
    assert recipe.augment.mosaic == 0.5  # type: ignore[attr-defined]
    assert recipe.batch == 4  # type: ignore[attr-defined]


def test_own_keys_hold_before_the_named_ones_and_a_part_is_replaced_whole() -> None:
    entry = {"method": "supervised", "base": "fine_tune", "epochs": 3, "ema": None}
    entry["optimizer"] = {"method": "lion", "betas": [0.9, 0.99]}
    params: Any = resolve("training", entry, "x", "y").params
    assert (params.epochs, params.ema, params.optimizer.name) == (3, None, "lion")
    assert params.clip == 1.0


def test_distillation_takes_what_it_has_of_a_recipe() -> None:
    entry = {"method": "logits", "base": "small_data", "temperature": 2.0, "weight": 0.5}
    params: Any = resolve("distillation", entry, "x", "y").params
    assert params.sampler.name == "square_root"
    assert not hasattr(params, "label_smoothing")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"base": "fine_tun"}, r"r.base: 'fine_tun' is not one of .*did you mean fine_tune\?"),
        ({"base": 3}, "r.base: 3 is not one of"),
        ({"base": "fine_tune", "epoch": 3}, r"r.epoch: unknown key.*did you mean epochs\?"),
        ({"base": "fine_tune", "epochs": 0}, "r.epochs: .*got 0"),
    ],
)
def test_entry_is_refused_with_its_key(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        resolve("training", {"method": "supervised", **entry}, "params.yaml", "r")


def test_change_of_a_recipe_makes_stale_what_names_it_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, named = _params(), _train("small_data")
    before = [Execution("train", None, each, Tree(ROOT)).digest for each in (plain, named)]
    folder = tmp_path / "recipes"
    shutil.copytree(recipes._FOLDER, folder)
    monkeypatch.setattr(recipes, "_FOLDER", folder)
    path = folder / "small_data.yaml"
    path.write_text("# Another comment.\n" + path.read_text())
    again = [Execution("train", None, each, Tree(ROOT)).digest for each in (plain, named)]
    assert again == before
    path.write_text(path.read_text().replace("epochs: 60", "epochs: 61"))
    after = [Execution("train", None, each, Tree(ROOT)) for each in (plain, named)]
    assert after[0].digest == before[0]
    assert after[1].digest != before[1]
    assert after[1].recipes()["train.recipe"]["epochs"] == 61
    assert "edgepress.training.optimizers.adamw" in after[1].modules
    assert "edgepress.training.samplers.square_root" in after[1].modules


def test_preset_that_names_a_recipe_puts_it_before_what_was_written() -> None:
    preset = {"train": {"recipe": {"base": "fine_tune", "epochs": 5}}}
    after = yaml.safe_load(merge((ROOT / "params.yaml").read_text(), preset, "p"))
    assert after["train"]["recipe"] == {"method": "supervised", "base": "fine_tune", "epochs": 5}


def test_all_values_are_printed_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(_train("fine_tune", epochs=5)))
    assert main(["params", str(path), "--expanded"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'train.recipe.base: "fine_tune"' in lines
    assert "train.recipe.epochs: 5" in lines
    assert 'train.recipe.optimizer.method: "adamw"' in lines
    assert "seed: 0" in lines
    assert main(["methods", "training.recipes"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in recipes.known())
    assert "      ema: 0.99" in told
