"""What a stage says where its workers cannot be started as the recipe asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgepress.training.engines import environment, torchrun
from stages import train
from stages.spread import main_by

TWO = {"method": "torchrun", "workers": 2}
WORKER = dict(zip(environment.NAMES, ("0", "0", "2", "127.0.0.1", "1"), strict=True))


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stages.train"])
    for name in (*environment.NAMES, environment.STARTED, "TORCHELASTIC_RUN_ID", "PET_NNODES"):
        monkeypatch.delenv(name, raising=False)


def _said(engine: dict[str, Any] | None, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the stage train, whose recipe has this engine; return its one line."""
    recipe = {"method": "supervised", **({"engine": engine} if engine else {})}
    Path("params.yaml").write_text(yaml.safe_dump({"seed": 0, "train": {"recipe": recipe}}))
    with pytest.raises(SystemExit) as ended:
        main_by("train", "train.recipe", train.work)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not Path("models").exists()
    return f"{ended.value.code} {said}"


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        ({**TWO, "workers": 1}, "2 train: params.yaml: train.recipe.engine.workers: Input should"),
        ({"method": "tourchrun"}, "2 train: params.yaml: train.recipe.engine.method: 'tourchrun'"),
        (
            {"method": "ray", "workers": 2, "address": "127.0.0.1:1"},
            "2 train: engine.address 127.0.0.1:1: no Ray cluster answers (",
        ),
        ("torchrun", "2 train: params.yaml: train.recipe.engine: expected a mapping"),
    ],
)
def test_engine_is_refused_when_its_entry_does_not_hold(
    engine: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _said(engine, capsys).startswith(line)


def test_stage_is_refused_when_half_of_torchruns_environment_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert _said(TWO, capsys) == (
        "2 train: RANK, WORLD_SIZE of torchrun's environment are set and LOCAL_RANK, MASTER_ADDR, "
        "MASTER_PORT not; start the stage by torchrun, or unset them\n"
    )


def test_stage_is_refused_when_a_number_of_torchruns_environment_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**WORKER, "RANK": "first"}.items():
        monkeypatch.setenv(name, value)
    assert "RANK: expected a whole number in torchrun's environment, got 'first'" in _said(
        TWO, capsys
    )


def test_stage_is_refused_when_torchrun_starts_a_recipe_without_an_engine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**WORKER, "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)
    assert _said(None, capsys).startswith("2 train: started by torchrun with 2 workers, and")


@pytest.mark.parametrize("hosts", ["2", "1:4", "many"])
def test_stage_is_refused_when_its_workers_cannot_be_dealt_to_the_hosts(
    hosts: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PET_NNODES", hosts)
    said = _said({**TWO, "workers": 3}, capsys)
    assert said.startswith("2 train: engine.workers: 3 cannot be shared by ")
    assert f"{hosts.removeprefix('1:')} hosts (PET_NNODES) alike" in said


def test_stage_says_so_when_the_first_host_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torchrun, "_WAIT_S", 1)
    there = {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "127.0.0.1"}
    for name, value in {**there, "PET_MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert _said(TWO, capsys).startswith("75 train: engine: 127.0.0.1:1 does not answer (")
