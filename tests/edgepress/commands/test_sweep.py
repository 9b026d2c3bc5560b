from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgepress.cli import main
from edgepress.commands.sweep import _alone, _refusal
from edgepress.errors import UserError
from edgepress.sweeping.study import DivergedError

ROOT = Path(__file__).parents[3]
RATE = "train.recipe.learning_rate"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([f"{RATE}=log:0.1..20"], "less than or equal to 10 (got 20.0)"),
        ([f"{RATE}=log:0.1"], "expected KEY=log:LOW..HIGH"),
        (["train.recipe.learnig_rate=log:0.1..1"], "did you mean learning_rate?"),
        ([f"{RATE}=log:0.1..1", "--trials", "0"], "--trials 0: expected 1 or more"),
    ],
)
def test_sweep_is_refused_in_one_line_before_anything_is_written(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("edgepress sweep: ")
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_second_run_of_a_sweep_is_refused_while_one_runs(tmp_path: Path) -> None:
    second = _alone(tmp_path)
    with _alone(tmp_path), pytest.raises(UserError, match="this sweep runs already"):
        second.__enter__()
    with _alone(tmp_path):
        pass


def test_refusal_of_a_trial_is_its_own_line_and_an_explosion_is_told_apart(tmp_path: Path) -> None:
    said = tmp_path / "stderr.log"
    said.write_text("trial@train: reading images\ntrial@train: data/selection: file not found\n")
    found = _refusal(said, "train", 2)
    assert str(found) == "data/selection: file not found"
    assert not isinstance(found, DivergedError)
    for words in ("the loss diverged: above 23", "the loss is not finite at step 4"):
        said.write_text(f"trial@train: training: {words}; lower learning_rate\n")
        assert isinstance(_refusal(said, "train", 2), DivergedError)
    said.write_text("Traceback\nRuntimeError: a bug\n")
    assert str(said) in str(_refusal(said, "train", 1))
