from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.training import answering, loop
from edgepress.training import checkpoint as checkpoints
from edgepress.training.checkpoint import Checkpoint
from edgepress.training.examples import Examples, Normalise
from edgepress.training.groups import grouped
from edgepress.training.loop import Batch, Job
from edgepress.training.optimizers.optimizer import Group, Optimizer
from tests.classified import open_task
from tests.heard import Heard
from tests.parts import OPTIMIZERS, PARTS

ROOT = Path(__file__).parents[3]
Digits = tuple[Examples, Examples]
TASK = open_task(tuple("0123456789"))
RECIPE = {
    "method": "supervised",
    "epochs": 3,
    "batch": 50,
    "learning_rate": 0.1,
    "weight_decay": 0.0005,
    **PARTS,
    "label_smoothing": 0.0,
    "augment": "shift",
    "precision": "fp32",
}


CHANGES = {
    "flip": 0.5,
    "shift": 0.1,
    "scale": [0.8, 1.2],
    "rotate": 10,
    "brightness": 0.2,
    "contrast": 0.2,
    "mixup": 0.2,
    "crop": {"area": [0.5, 1]},
    "trivial_augment": 1.0,
    "blur": {"share": 0.2},
    "erase": {"share": 0.2, "fill": "noise"},
    "cutmix": 1.0,
}


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


def _train(digits: Digits, job_changes: dict[str, object] | None = None, **changes: object) -> Job:
    job = Job(
        **{
            "network": _network(),
            "train": digits[0],
            "val": digits[1],
            "seed": 0,
            "task": TASK,
            **(job_changes or {}),
        }
    )  # type: ignore[arg-type]
    resolve("training", {**RECIPE, **changes}, "params.yaml", "train.recipe")(job)
    return job


def _same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_digits_are_learnt_when_trained_for_a_few_epochs(digits: Digits) -> None:
    job = _train(digits, epochs=20, augment="none", learning_rate=0.02)
    assert answering.scores(job.network, digits[1], TASK)[0].value.value > 0.9


def test_weights_are_the_same_when_the_seed_is_the_same(digits: Digits) -> None:
    first, second = _train(digits), _train(digits)
    other = _train(digits, {"seed": 1})
    assert _same(first.network, second.network)
    assert not _same(first.network, other.network)


@pytest.mark.parametrize(
    "changes", [{"rotate": 20}, {"contrast": 0.5}, {"flip": 0.0, "brightness": 0.0}]
)
def test_changes_reach_the_network_when_they_are_more_than_nothing(
    digits: Digits, changes: dict[str, float]
) -> None:
    plain, changed = _train(digits, augment="none"), _train(digits, augment=changes)
    assert _same(plain.network, changed.network) is not any(changes.values())


def _as_it_was(network: nn.Module, digits: Digits) -> nn.Module:
    """Train by the loop as it was written before recipes had parts."""
    import math

    def one_cycle(done: float) -> float:
        if done < 0.15:
            return done / 0.15
        return 0.5 * (1 + math.cos(math.pi * (done - 0.15) / (1 - 0.15)))

    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    decaying = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": 0.0005}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
    train, step = digits[0], 0
    normalise = Normalise(train.spec, torch.device("cpu"))
    for epoch in range(3):
        order = np.random.default_rng([0, epoch]).permutation(len(train))
        for rows in order.reshape(-1, 50):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * one_cycle((step + 1) / 24)
            images = torch.from_numpy(train.pixels[rows]).permute(0, 3, 1, 2)
            inputs = normalise(images).contiguous(memory_format=torch.channels_last)
            truth = torch.from_numpy(train.truth["label"][rows])
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs), truth).backward()
            optimizer.step()
            step += 1
    return network


def test_weights_are_those_of_the_loop_as_it_was_when_the_parts_are_the_default_ones(
    digits: Digits,
) -> None:
    job = _train(digits, augment="none")
    assert _same(job.network, _as_it_was(_network(), digits))


def test_torchs_compiler_stays_out_when_our_own_optimizers_train() -> None:
    """It takes seconds to import, which every process that trains would pay."""
    code = (
        "import sys, torch; from torch import nn; from edgepress.methods import resolve;"
        "from edgepress.training.optimizers.optimizer import Group;"
        "from tests.parts import OPTIMIZERS;"
        "network = nn.Linear(2, 2); named = dict(network.named_parameters());\n"
        "for entry in OPTIMIZERS.values():\n"
        "    network(torch.ones(1, 2)).sum().backward()\n"
        "    resolve('training.optimizers', entry, '', '')([Group(named, 0.1, 0.0)]).step(1.0)\n"
        "print('torch._dynamo' in sys.modules, 'timm' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "False"]


class KilledError(Exception):
    pass


@pytest.mark.usefixtures("checkpoints_each_step")
@pytest.mark.parametrize(
    ("step", "changes"),
    [
        *[(step, {}) for step in (1, 8, 13, 23)],
        (13, {"augment": CHANGES}),
        *[(13, {"optimizer": entry}) for name, entry in OPTIMIZERS.items() if name != "sgd"],
        (13, {"clip": 0.5, "accumulate": 3, "layer_decay": 0.5}),
        (13, {"sampler": {"method": "balanced"}, "class_weights": "balanced"}),
        *[(step, {"ema": 0.9, "keep": "best", "learning_rate": 0.3}) for step in (13, 20)],
    ],
    ids=str,
)
def test_weights_and_history_are_the_same_when_killed_and_resumed(
    digits: Digits, tmp_path: Path, step: int, changes: dict[str, object]
) -> None:
    recipe = {**RECIPE, **changes}
    method = resolve("training", recipe, "params.yaml", "train.recipe")
    whole = Job(_network(), *digits, 0, TASK)
    expected = method(whole)

    def kill(what: str, done: int, total: int, note: str = "") -> None:
        if done == step:
            raise KilledError

    checkpoint = Checkpoint(tmp_path / "state")
    with pytest.raises(KilledError):
        method(Job(_network(), *digits, 0, TASK, checkpoint, kill))
    resumed = Job(_network(), *digits, 0, TASK, checkpoint)
    seen: list[int] = []
    history = method(
        Job(resumed.network, *digits, 0, TASK, checkpoint, lambda *said: seen.append(said[1]))
    )
    assert seen[0] == step + 1
    assert _same(whole.network, resumed.network)
    assert history == expected


def test_checkpoint_is_ignored_when_its_file_is_truncated(digits: Digits, tmp_path: Path) -> None:
    network = _network()
    group = Group(dict(network.named_parameters()), 0.1, 0.0)
    optimizer: Optimizer = resolve("training.optimizers", PARTS["optimizer"], "x", "y")([group])
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(network, optimizer, checkpoints.Position(3, [], {}), {})
    assert checkpoint.restore(network, optimizer, {}) is not None
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:50])
    assert checkpoint.restore(network, optimizer, {}) is None


def test_run_key_changes_when_any_input_changes() -> None:
    assert checkpoints.run_key("a", "b") == checkpoints.run_key("a", "b")
    assert len({checkpoints.run_key(*parts) for parts in (("a", "b"), ("a", "c"), ("ab",))}) == 3


def test_training_stops_with_one_line_when_the_loss_is_not_finite(digits: Digits) -> None:
    broken = _network()
    with torch.no_grad():
        broken[4].weight.fill_(float("nan"))
    with pytest.raises(UserError, match="the loss is not finite at step .*lower learning_rate"):
        _train(digits, {"network": broken})


def test_checkpoints_are_rarer_when_one_takes_long(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Checkpoint):
        seconds, count = 0.0, 0

        def save(self, *state: Any) -> None:
            clock[0] += self.seconds
            self.count += 1
            super().save(*state)

    def saves(seconds: float) -> int:
        clock[0] = 0.0
        checkpoint = Slow(tmp_path / str(seconds))
        checkpoint.seconds = seconds
        _train(digits, {"checkpoint": checkpoint, "progress": step})
        return checkpoint.count

    def step(what: str, *_: object) -> None:
        clock[0] += what == "training"

    clock = [0.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 3.5)
    monkeypatch.setattr(loop, "SHARE_OF_CHECKPOINTS", 0.1)
    quick, slow = saves(0.0), saves(2.0)
    assert quick > 2 * slow
    assert slow > 0


@pytest.mark.usefixtures("checkpoints_each_step")
def test_training_stops_at_the_step_and_keeps_the_last_good_state_when_the_loss_explodes(
    digits: Digits, tmp_path: Path
) -> None:
    checkpoint, method = Checkpoint(tmp_path), resolve("training", RECIPE, "x", "y")

    def objective(network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        seen.append(1)
        loss = nn.functional.cross_entropy(network(batch.inputs), batch.truth["label"])
        return {"loss": loss * (float("nan") if len(seen) == 11 else 1.0)}

    seen: list[int] = []
    job = Job(_network(), *digits, 0, TASK, checkpoint)
    with pytest.raises(UserError, match=r"not finite at step 11; .* until step 10 is kept in "):
        loop.fit(job, method.params, objective)  # type: ignore[arg-type]
    resumed = Job(_network(), *digits, 0, TASK, checkpoint)
    recipe: Any = method.params
    held = recipe.optimizer(grouped(resumed.network, recipe))
    found = checkpoint.restore(resumed.network, held, {})
    assert found is not None
    assert found.step == 10
    assert all(torch.isfinite(each).all() for each in resumed.network.state_dict().values())


def test_history_marks_the_epoch_that_was_kept_when_the_best_is(digits: Digits) -> None:
    said: list[str] = []
    recipe = {**RECIPE, "epochs": 6, "keep": "best", "learning_rate": 0.3, "patience": 2}
    job = Job(_network(), *digits, 0, TASK, say=said.append)
    history = resolve("training", recipe, "x", "y")(job)
    scores = [line["val_accuracy"] for line in history]
    chosen = scores.index(max(scores))
    assert [index for index, line in enumerate(history) if "kept" in line] == [chosen]
    assert said[-1].endswith(f"the weights kept are those of epoch {chosen + 1}, the best on val")


@pytest.mark.parametrize(
    ("task", "kind"), [(TASK, "mosaic"), (None, "mixup")], ids=["one label", "no labels"]
)
def test_training_is_refused_when_labels_cannot_be_mixed(
    digits: Digits, task: object, kind: str
) -> None:
    recipe = resolve(
        "training", {**RECIPE, "augment": {kind: 0.5}}, "params.yaml", "train.recipe"
    ).params
    job = Job(_network(), digits[0], None, 0, task)  # type: ignore[arg-type]
    with pytest.raises(
        UserError, match=rf"training: augment.{kind}: the labels learnt from cannot"
    ):
        loop.fit(job, recipe, lambda *_: {})  # type: ignore[arg-type]


def test_training_is_refused_when_there_is_one_image(digits: Digits) -> None:
    one = Examples(digits[0].pixels[:1], {"label": digits[0].truth["label"][:1]}, digits[0].spec)
    with pytest.raises(UserError, match="1 images are too few"):
        _train(digits, {"train": one})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("learning_rate", -1.0),
        ("augment", "flop"),
        ("precision", "fp8"),
        ("batch", 2.5),
        ("optimizer.momentum", 1.0),
        ("optimizer.method", "sdg"),
        ("schedule.warmup", 1.5),
    ],
)
def test_recipe_is_refused_when_a_value_is_out_of_range(
    digits: Digits, key: str, value: object
) -> None:
    top, _, inner = key.partition(".")
    with pytest.raises(UserError, match=rf"params.yaml: train.recipe.{key}: .*got"):
        _train(digits, **{top: {**PARTS[top], inner: value} if inner else value})


def test_bfloat16_trains_to_the_same_accuracy_when_asked_for(digits: Digits) -> None:
    job = _train(digits, epochs=20, augment="none", learning_rate=0.02, precision="bf16")
    assert answering.scores(job.network, digits[1], TASK)[0].value.value > 0.88


def test_normalise_matches_the_preprocessing_of_the_data_room(digits: Digits) -> None:
    from edgepress.data.preprocess import normalise

    train = digits[0]
    ((images, _),) = train.batches([np.arange(20)])
    ours = Normalise(train.spec, torch.device("cpu"))(images).numpy()
    np.testing.assert_allclose(ours, normalise(train.pixels[:20], train.spec), atol=2e-6)


def test_steps_loss_and_score_are_told_while_training(digits: Digits) -> None:
    heard = Heard()
    _train(digits, {"progress": heard.tell}, epochs=2)
    told, steps = heard.told, len(digits[0]) // 50
    assert [said[:3] for said in told] == [
        ("training", step + 1, 2 * steps) for step in range(2 * steps)
    ]
    assert told[0][3] == ""
    assert told[-1][3].startswith("epoch 1: loss ")
    assert "val_accuracy" in told[-1][3]


def test_a_line_stays_of_every_epoch_when_training(digits: Digits, tmp_path: Path) -> None:
    heard = Heard()
    _train(digits, {"say": heard.said.append, "checkpoint": Checkpoint(tmp_path)}, epochs=2)
    assert [line.split(":")[0] for line in heard.said] == ["epoch 1 of 2", "epoch 2 of 2"]
    for part in ("loss ", "val accuracy ", "learning rate ", " images/s, load ", ", memory "):
        assert part in heard.said[0]
    assert heard.said[0].endswith(" left")
    assert not heard.said[1].endswith(" left")


def test_accumulated_passes_make_the_same_step_when_the_images_are_the_same(
    digits: Digits,
) -> None:
    """Without normalisation, which looks at the images of a pass, only rounding differs."""
    seen: list[int] = []

    def watched(network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        seen.append(len(batch.rows))
        return {"loss": nn.functional.cross_entropy(network(batch.inputs), batch.truth["label"])}

    networks = []
    for accumulate in (1, 3):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
        entry = {**RECIPE, "epochs": 1, "accumulate": accumulate}
        recipe = resolve("training", entry, "x", "y").params
        loop.fit(Job(network, digits[0], None, 0, TASK), recipe, watched)  # type: ignore[arg-type]
        networks.append(network)
    assert seen == [50] * 8 + [17, 17, 16] * 8
    for one, other in zip(*(each.parameters() for each in networks), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_gradients_are_cut_to_the_norm_when_they_are_longer(digits: Digits) -> None:
    """A first step of plain SGD is as long as rate and norm allow."""
    lengths = {}
    entry = {"method": "sgd", "momentum": 0.0, "nesterov": False}
    for clip in (None, 1e3, 0.01):
        network = _network()
        before = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        changes = {"optimizer": entry, "schedule": {"method": "constant", "warmup": 0.0}}
        _train(
            digits,
            {"network": network},
            batch=400,
            epochs=1,
            weight_decay=0.0,
            clip=clip,
            **changes,
        )
        after = nn.utils.parameters_to_vector(network.parameters()).detach()
        lengths[clip] = float((after - before).norm())
    assert lengths[None] == lengths[1e3] > 0.01
    assert lengths[0.01] == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_training_is_refused_when_the_best_is_asked_for_and_nothing_is_scored(
    digits: Digits,
) -> None:
    for changes in ({"keep": "best"}, {"patience": 2}):
        with pytest.raises(UserError, match="nothing is scored here; set keep: last"):
            _train(digits, {"val": None}, **changes)


def test_best_weights_are_delivered_when_later_epochs_are_worse(digits: Digits) -> None:
    """The rate rises to what nothing can learn by."""
    rising = {
        "learning_rate": 10.0,
        "schedule": {"method": "constant", "warmup": 0.99},
        "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    }
    kept = {}
    for keep in ("last", "best"):
        job = Job(_network(), *digits, 0, TASK)
        recipe = {**RECIPE, "epochs": 6, **rising, "keep": keep}
        history = resolve("training", recipe, "x", "y")(job)
        told = [line["val_accuracy"] for line in history]
        kept[keep] = answering.scores(job.network, digits[1], TASK)[0].value.value
    assert kept["best"] == max(told) > kept["last"] == told[-1]


def test_run_stops_when_its_patience_is_over(digits: Digits) -> None:
    recipe = {
        **RECIPE,
        "epochs": 40,
        "patience": 3,
        "keep": "best",
        "schedule": {"method": "constant", "warmup": 0.0},
    }
    history = resolve("training", recipe, "x", "y")(Job(_network(), *digits, 0, TASK))
    scores = [line["val_accuracy"] for line in history]
    assert len(history) < 40
    assert scores.index(max(scores)) == len(scores) - 4


def test_average_is_judged_and_delivered_when_weights_are_averaged(digits: Digits) -> None:
    job, steps = Job(_network(), *digits, 0, TASK), []

    def follow(*_: object) -> None:
        steps.append({n: t.clone().double() for n, t in job.network.state_dict().items()})

    first = {name: each.clone().double() for name, each in job.network.state_dict().items()}
    job = Job(job.network, *digits, 0, TASK, None, follow)
    history = resolve("training", {**RECIPE, "epochs": 2, "ema": 0.8}, "x", "y")(job)
    for done, now in enumerate(steps, 1):
        decay = min(0.8, (1 + done) / (10 + done))
        first = {name: decay * first[name] + (1 - decay) * now[name] for name in now}
    for name, each in job.network.state_dict().items():
        if each.is_floating_point():
            torch.testing.assert_close(each.double(), first[name], rtol=1e-4, atol=1e-6)
    assert (
        answering.scores(job.network, digits[1], TASK)[0].value.value == history[-1]["val_accuracy"]
    )


def test_recipe_without_parts_is_what_the_loop_always_did() -> None:
    named, bare = {**RECIPE}, {**RECIPE}
    for part in PARTS:
        del bare[part]
    assert resolve("training", bare, "test", "r").params == resolve(
        "training", {**named, **PARTS}, "test", "r"
    ).params  # fmt: skip
