"""Two workers of one run, on the CPU by gloo."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.training.ranks import Ranks
from tests.edgepress.training.two_workers import CASES, KILLED, RECIPE, TWO, trained

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[3]
Exits = tuple[int, int]


def _two(folder: Path, part: str) -> tuple[Exits, str]:
    """Run both workers; return their exit codes and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    there = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    module = "tests.edgepress.training.two_workers"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, str(folder), part],
            env={**os.environ, **there, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [each.communicate(timeout=800)[1] for each in started]
    return (started[0].returncode, started[1].returncode), "\n".join(said)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two workers left: all cases, a run of its own, and the same killed and taken up."""
    folder = tmp_path_factory.mktemp("two")
    exits, said = _two(folder, "train")
    assert exits == (0, -signal.SIGKILL), said
    exits, said = _two(folder, "resume")
    assert exits == (0, 0), said
    return folder


def _history(ran: Path, rank: int, name: str) -> Any:
    return json.loads((ran / str(rank) / f"{name}.json").read_text())


@pytest.mark.parametrize("name", list(CASES))
def test_weights_and_curve_are_those_of_one_process_when_two_workers_train(
    ran: Path, name: str
) -> None:
    """One process that makes as many passes a step: `accumulate` times the workers."""
    passes = 2 * CASES[name].get("accumulate", 1)
    network, history = trained(name, {"accumulate": passes})
    found = load_file(ran / "0" / f"{name}.safetensors")
    for key, expected in network.state_dict().items():
        torch.testing.assert_close(found[key], expected, rtol=1e-5, atol=1e-5)
    curve = _history(ran, 0, name)
    assert len(curve) == len(history)
    for line, expected in zip(curve, history, strict=True):
        assert line == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", list(CASES))
def test_workers_have_the_same_bytes_when_they_have_trained(ran: Path, name: str) -> None:
    first, second = ((ran / rank / f"{name}.safetensors").read_bytes() for rank in "01")
    assert first == second
    assert _history(ran, 0, name) == _history(ran, 1, name)


def test_run_ends_with_the_same_bytes_when_a_worker_was_killed(ran: Path) -> None:
    for rank in "01":
        whole, killed = (ran / rank / f"{name}.safetensors" for name in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
    assert _history(ran, 0, "killed")["history"] == _history(ran, 0, "whole")["history"]


def test_run_goes_on_where_it_was_when_a_worker_was_killed(ran: Path) -> None:
    """The worker died in its step 13, so that 12 were saved."""
    assert _history(ran, 0, "killed")["told"][0] == KILLED


def test_survivor_says_one_line_when_the_other_worker_is_killed(ran: Path) -> None:
    said = (ran / "0" / "lost.txt").read_text()
    assert said.startswith("training: another worker was lost (")
    assert said.endswith("; run again, and training goes on from its last checkpoint")
    assert "\n" not in said


def test_first_worker_alone_saves_and_tells_when_two_train(ran: Path) -> None:
    assert [path.name for path in sorted(ran.glob("?/*-checkpoint"))] == [
        "killed-checkpoint",
        "whole-checkpoint",
    ]
    assert not list((ran / "1").glob("*-checkpoint"))
    assert _history(ran, 0, "whole")["told"] == list(range(1, 17))
    assert _history(ran, 1, "whole")["told"] == []


@pytest.mark.parametrize(
    ("images", "count", "passes"), [(50, 2, 1), (51, 2, 3), (64, 7, 2), (9, 4, 5), (8, 4, 1)]
)
def test_shares_are_the_whole_step_in_order_when_put_together(
    images: int, count: int, passes: int
) -> None:
    shares = [Ranks(rank, count).share(images, passes) for rank in range(count)]
    rows = [row for share in shares for row in range(images)[share.rows]]
    assert rows == list(range(images))
    together = [size for share in shares for size in share.passes]
    assert together == list(Ranks().share(images, count * passes).passes)
    assert [share.later for share in shares] == [
        sum(len(other.passes) for other in shares[rank + 1 :]) for rank in range(count)
    ]


@pytest.mark.parametrize(("items", "count"), [(151, 2), (3, 4), (4, 4), (0, 2)])
def test_parts_are_all_items_in_order_when_put_together(items: int, count: int) -> None:
    parts = [Ranks(rank, count).part(items) for rank in range(count)]
    assert [item for part in parts for item in part] == list(range(items))


def test_share_is_refused_when_there_are_fewer_than_two_images_for_each() -> None:
    with pytest.raises(UserError, match="7 images a step leave 4 workers fewer than 2 each"):
        Ranks(0, 4).share(7, 1)


def test_recipe_is_refused_when_its_batch_is_too_small_for_its_workers() -> None:
    entry = {**RECIPE, "batch": 7, "accumulate": 2, "engine": TWO}
    with pytest.raises(UserError, match="accumulate 2 on 2 workers leaves a pass fewer than 2 of"):
        resolve("training", entry, "params.yaml", "train.recipe")


def test_recipe_is_refused_when_its_batch_is_to_be_found_by_several_workers() -> None:
    with pytest.raises(UserError, match="batch auto is found by one process; name a number"):
        resolve("training", {**RECIPE, "batch": "auto", "engine": TWO}, "x", "y")


@pytest.mark.parametrize(("key", "value"), [("workers", 1), ("workers", "two"), ("method", "tor")])
def test_engine_is_refused_when_a_value_is_out_of_range(key: str, value: object) -> None:
    entry = {**RECIPE, "engine": {**TWO, key: value}}
    with pytest.raises(UserError, match=rf"params.yaml: train.recipe.engine.{key}: .*got"):
        resolve("training", entry, "params.yaml", "train.recipe")


def test_training_is_refused_when_nobody_started_its_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match="not started as a worker of recipe.engine"):
        trained("plain", {"engine": TWO})
