from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.cli import main
from edgepress.sections import problems
from tests.parts import PARTS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def put(tree: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return a copy with the value at a path of /-separated keys; ... removes it."""
    changed = copy.deepcopy(tree)
    place = changed
    *parents, last = key.split("/")
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


def test_problems_finds_none_when_the_committed_file_is_checked(tree: dict[str, Any]) -> None:
    assert problems(tree, "params.yaml") == []


CWD = {
    "method": "cwd",
    "epochs": 1,
    "batch": 8,
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    **PARTS,
    "temperature": 1.0,
    "weight": 1.0,
    "augment": "none",
    "precision": "fp32",
}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", -1, ["seed: expected an integer of 0 or more, got -1"]),
        ("seed", True, ["seed: expected an integer of 0 or more, got True"]),
        ("input/mean", [127.5], ["input: ", "mean 127.5 is not on the 0..1 scale", "by 255"]),
        ("input/std", [58.4], ["input: ", "std 58.4 is not on the 0..1 scale", "by 255"]),
        ("train/weigths", None, ["train.weigths: unknown key", "did you mean weights?"]),
        ("train/weights", "w.pth", ["train.weights: expected a mapping, got 'w.pth'"]),
        ("train/weights", {"path": "gone.pth"}, ["train.weights: gone.pth: file not found"]),
        (
            "distill/weights",
            {"path": "w.pth", "sha256": "1"},
            ["distill.weights.sha256: String sh"],
        ),
        ("trian", {}, ["trian: unknown section (did you mean train?)"]),
        ("project", ..., ["project: missing"]),
        ("gates/max_error/int8", ..., ["gates.max_error: no bound for the precision 'int8'"]),
        (
            "gates/min_score/acuracy",
            0.5,
            ["gates.min_score: 'acuracy' is not one of", "did you mean accuracy?"],
        ),
        ("gates/min_score/accuracy", 90, ["gates.min_score.accuracy: 90 is not", "0.9 is 90 %"]),
        ("budgets", {}, ["budgets: expected at least one entry"]),
        ("slim/method", "nonee", ["slim.method: 'nonee' is not one of", "did you mean none?"]),
        ("ingest/source/method", "digit", ["ingest.source.method", "did you mean digits?"]),
        ("ingest/limits", 3, ["ingest.limits: unknown key"]),
        ("ingest/split/val", 0.9, ["ingest.split", "stay below 1"]),
        ("train/recipe/epochs", 0, ["train.recipe.epochs"]),
        ("train/recipe/augment", "shft", ["train.recipe.augment: ", "none, shift, flip_shift"]),
        ("train/recipe/augment", {}, ["train.recipe.augment: ", "names no change; say none"]),
        (
            "train/recipe/augment",
            {"rotat": 5},
            ["train.recipe.augment.rotat: unknown key", "did you mean rotate?"],
        ),
        (
            "train/recipe/augment",
            {"mosaic": 0.5},
            ["train.recipe.augment.mosaic: the labels", "cannot say what is on", "(got 0.5)"],
        ),
        ("embed/augment", {"mixup": 0.2}, ["embed.augment.mixup: the labels", "(got 0.2)"]),
        (
            "slim/augment",
            {"flip": 1.5},
            ["slim.augment.flip: Input should be less than or equal to 1 (got 1.5)"],
        ),
        (
            "distill/recipe/augment",
            {"scale": [2, 1]},
            ["distill.recipe.augment.scale: ", "the least first (got [2"],
        ),
        (
            "train/recipe/augment",
            {"crop": {"area": [0.5, 2]}},
            ["train.recipe.augment.crop.area: ", "two shares from 0.01 to 1", "(got [0.5, 2])"],
        ),
        (
            "train/recipe/augment",
            {"crop": {"area": [0.5, 1], "ration": [1, 1]}},
            ["train.recipe.augment.crop.ration: unknown key", "did you mean ratio?"],
        ),
        (
            "distill/recipe",
            CWD,
            ["distill.recipe.method: cwd needs maps", "train.head linear takes pooled"],
        ),
        (
            "train/recipe/optimizer/method",
            "sgdd",
            ["train.recipe.optimizer.method: expected one of adamw, lion, muon, sgd", "mean sgd?"],
        ),
        ("train/recipe/optimizer", "sgd", ["train.recipe.optimizer: ", "a mapping", "(got 'sgd')"]),
        (
            "slim/optimizer",
            {"method": "adamw", "betas": [0.9, 1.5], "eps": 1e-8},
            ["slim.optimizer.betas.1: Input should be less than 1 (got 1.5)"],
        ),
        (
            "embed/optimizer/momentun",
            0.9,
            ["embed.optimizer.momentun: unknown key", "known: method, momentum, nesterov"],
        ),
        (
            "distill/recipe/schedule/warmup",
            1.5,
            ["distill.recipe.schedule.warmup: Input should be less than 1 (got 1.5)"],
        ),
        ("train/recipe/loss", {"method": "focl"}, ["train.recipe.loss.method: ", "mean focal?"]),
        (
            "slim/loss",
            {"method": "focal", "focus": 2.0, "alpha": 0.25},
            ["slim.loss.alpha: unknown key; known: method, focus"],
        ),
        ("train/recipe/class_weights", "even", ["train.recipe.class_weights: ", "balanced"]),
        ("embed/sampler", {"method": "balanced"}, ["embed.sampler.method: this learns without l"]),
        ("embed/class_weights", "balanced", ["embed.class_weights: this learns without labels"]),
        ("embed/keep", "best", ["embed: ", "nothing is scored here; set keep: last"]),
        ("train/recipe/accumulate", 40, ["accumulate 40 leaves a pass fewer than 2 of 64"]),
        ("train/recipe/ema", 1.0, ["train.recipe.ema: Input should be less than 1 (got 1.0)"]),
        ("train/backbone", ..., ["'backbone' is missing under train"]),
        ("input/channels", 2, ["input.channels"]),
        ("check/min_side", "8", ["check.min_side", "got '8'"]),
        ("quantize/int8", {"method": "ptqq"}, ["quantize.int8.method: 'ptqq' is not one of"]),
        ("export/onnxx", {}, ["export: 'onnxx' is not one of", "did you mean onnx?"]),
        ("export/onnx/opset", 3, ["export.onnx.opset", "got 3"]),
        ("validate/runs", "many", ["validate.runs", "got 'many'"]),
        ("gates/min_speedup", 0, ["gates.min_speedup"]),
        ("budgets/default/max_p99_ms", 0, ["budgets.default.max_p99_ms", "got 0"]),
        ("budgets/x86_64-onnx", {}, ["budgets.x86_64-onnx: no such place", "did you mean"]),
        ("places", [], ["places: expected a list without repeats, got []"]),
        ("places", ["x86_64"], ["places: 'x86_64': expected device-runtime"]),
        ("places", ["x86_64-onnxrt"], ["runtime 'onnxrt' is not one of"]),
        ("precisions", ["fp32", "int4"], ["precisions: 'int4' is not one of fp32, int8"]),
        ("baseline", "fp16", ["baseline: 'fp16' is not one of the precisions"]),
        ("export/onnx", ..., ["export: onnx is missing, which x86_64-onnxruntime needs"]),
        ("project", "a/b", ["project: 'a/b' may hold letters, digits, _ . - only"]),
        ("train/head", {"method": "lineer"}, ["train.head.method", "did you mean linear?"]),
        ("task/method", "clasification", ["task.method", "did you mean classification?"]),
    ],
)
def test_problems_tells_one_line_when_one_value_is_wrong(
    tree: dict[str, Any], key: str, value: Any, words: list[str]
) -> None:
    found = problems(put(tree, key, value), "params.yaml")
    assert len(found) == 1, found
    assert all(word in found[0] for word in ["params.yaml: ", *words]), found[0]


def test_params_prints_every_problem_and_exits_2_when_several_are_wrong(
    tree: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = put(put(tree, "seed", "0"), "slim/method", "no")
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(wrong))
    assert main(["params", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(str(path)) for line in lines)


TIMM = {"method": "timm", "model": "test_vit"}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train/backbone", TIMM, ["train.backbone: timm model 'test_vit'", "50 x 50", "160x160"]),
        ("distill/backbone", TIMM, ["distill.backbone: timm model 'test_vit'", "50 x 50"]),
        (
            "embed",
            {**TIMM, "pretrained": True, "side": 50, "batch": 8},
            ["embed.model: timm model 'test_vit'", "50 x 50", "160x160"],
        ),
    ],
)
def test_network_is_refused_by_params_when_it_cannot_take_the_input(
    tree: dict[str, Any], key: str, value: dict[str, Any], words: list[str]
) -> None:
    sized = put(put(tree, "input/height", 50), "input/width", 50)
    fixed = {} if key == "embed" else {"arguments": {"img_size": 160}}
    found = problems(put(sized, key, {**value, **fixed}), "params.yaml")
    assert len(found) == 1, found
    assert all(word in found[0] for word in ["params.yaml: ", *words]), found[0]


def test_weights_are_refused_by_params_when_they_are_of_another_network(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    import torch

    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "w.pth")
    entry = {"path": str(tmp_path / "w.pth")}
    found = problems(put(tree, "train/weights", entry), "params.yaml")
    assert len(found) == 1, found
    assert "train.weights" in found[0]
    assert "only 0 of 75 tensors of the backbone fit" in found[0]
    assert "conv1.weight 24x1x3x3 | weight 2x3" in found[0]


def test_weights_are_refused_by_params_beside_pretrained_ones(tree: dict[str, Any]) -> None:
    changed = put(tree, "train/backbone", {**TIMM, "model": "test_resnet", "pretrained": True})
    found = problems(put(changed, "train/weights", {"path": "w.pth"}), "params.yaml")
    assert len(found) == 1, found
    assert "train: weights and backbone.pretrained exclude each other" in found[0]


def test_weights_may_be_left_out_of_the_file(tree: dict[str, Any]) -> None:
    assert problems(put(tree, "train/weights", ...), "params.yaml") == []


@pytest.mark.parametrize(
    ("entry", "head", "words"),
    [
        ("users_sections_net:Vector", "linear", []),
        ("users_sections_net:Logits", "own", []),  # for how many classes is not known yet
        ("users_sections_net:Vektor", "linear", ["train.backbone: entry", "did you mean Vector?"]),
        ("gone:Vector", "linear", ["there is no gone.py in the working directory"]),
        ("users_sections_net:Vector", "unet", ["and the head takes maps [N, C, H, W]"]),
    ],
)
def test_module_of_the_users_is_built_by_params(
    entry: str,
    head: str,
    words: list[str],
    tree: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delitem(sys.modules, "users_sections_net", raising=False)
    Path("users_sections_net.py").write_text(
        "from torch import nn\n"
        "def Vector(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(14), nn.Flatten())\n"
        "def Logits(): return nn.Sequential(nn.Flatten(), nn.Linear(256, 10))\n"
    )
    wide = {"width": 8} if head == "unet" else {}
    changed = put(tree, "train/backbone", {"method": "module", "entry": entry})
    found = problems(put(changed, "train/head", {"method": head, **wide}), "params.yaml")
    assert len(found) == bool(words), found
    assert all(word in found[0] for word in words)


def test_recipe_that_learns_nothing_is_refused_when_there_are_no_weights(
    tree: dict[str, Any],
) -> None:
    found = problems(put(tree, "train/recipe", {"method": "given"}), "params.yaml")
    assert len(found) == 1, found
    assert found[0].startswith("params.yaml: train.weights: missing; train.recipe.method given")


def test_teacher_is_passed_on_only_when_the_student_is_of_its_shape(tree: dict[str, Any]) -> None:
    changed = put(tree, "distill/recipe", {"method": "none"})
    (found,) = problems(changed, "params.yaml")
    assert "distill.recipe.method: none passes the teacher on; set distill.backbone" in found
    assert (
        problems(put(changed, "distill/backbone", tree["train"]["backbone"]), "params.yaml") == []
    )


def test_curation_that_looks_is_refused_when_nothing_is_embedded(tree: dict[str, Any]) -> None:
    changed = put(tree, "embed", {"method": "none"})
    (found,) = problems(changed, "params.yaml")
    assert "curate.method: concept_complexity looks at embeddings" in found
    assert problems(put(changed, "curate", {"method": "none"}), "params.yaml") == []


@pytest.mark.parametrize(("name", "taken"), [("params.yaml", True), ("presets/nuclei.yaml", False)])
def test_crop_is_refused_when_the_task_answers_for_the_whole_picture(
    name: str, taken: bool, tree: dict[str, Any]
) -> None:
    task = yaml.safe_load((ROOT / name).read_text())["task"]
    tree = put(put(tree, "task", task), "input/fit", {"crop": 0.9})
    found = [each for each in problems(tree, "params.yaml") if "input.fit" in each]
    assert bool(found) is not taken
    if found:
        assert found[0].startswith("params.yaml: input.fit.crop: leaves out a picture's sides")
