"""The registry as MLflow holds it, read back through its own client from a real SQLite store."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from sqlalchemy import event
from sqlalchemy.engine import Engine

from edgepress.errors import UserError
from stages import register, tracking
from stages.relocation import relocate
from stages.stage import Stage

Remeasure = Callable[..., None]
Reexport = Callable[..., None]
PASSED = "x86_64-onnxruntime-fp32"
FAILED = "x86_64-onnxruntime-int8"
AWAY = "jetson-tensorrt-fp32"


@pytest.fixture(scope="module", autouse=True)
def _unsynced() -> Iterator[None]:
    """Let SQLite not wait for the disk: tests kill processes here, none cuts the power."""

    def relax(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


@pytest.fixture(scope="module")
def empty_store(_unsynced: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store with its tables; making them takes longer than any test."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


def open_in(root: Path, store: Path) -> None:
    """Give a run a store; MLflow keeps one open by its address, so each run needs its own."""
    shutil.copy(store, root / "mlflow.db")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["register"]["tracking_uri"] = f"sqlite:///{root}/mlflow.db"
    params["distill"] = {"recipe": {"base": "fine_tune"}}
    (root / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture
def run(finished: Path, empty_store: Path) -> Iterator[Path]:
    """A finished run and an empty store."""
    open_in(finished, empty_store)
    yield finished
    mlflow.set_tracking_uri("")


@pytest.fixture(scope="module")
def registered_once(
    finished_once: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Register the run once, for tests that look at it or go on from it."""
    root = tmp_path_factory.mktemp("registered") / "run"
    shutil.copytree(finished_once, root)
    open_in(root, empty_store)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        go()
    return root


@pytest.fixture
def registered(registered_once: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The registered run itself: to look at only."""
    monkeypatch.chdir(registered_once)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow.set_tracking_uri(f"sqlite:///{registered_once}/mlflow.db")
    yield registered_once
    mlflow.set_tracking_uri("")


@pytest.fixture
def continued(
    registered_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the registered run, to register again; its versions' files come with it."""
    root = tmp_path / "run"
    shutil.copytree(registered_once, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    yield root
    mlflow.set_tracking_uri("")


def go() -> dict[str, Any]:
    """Run the stage as its command does and return registered.json's targets."""
    stage = Stage("register")
    register.work(stage)
    stage.finish()
    return targets_of(Path())


def targets_of(root: Path) -> dict[str, Any]:
    text = (root / "targets/registered/registered.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["targets"])


def client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")


def experiment() -> str:
    return str(client().get_experiment_by_name("digits").experiment_id)


def versions(key: str) -> list[Any]:
    return list(client().search_model_versions(f"name = 'digits.{key}'"))


def test_aliases_follow_the_verdict_when_targets_are_registered(registered: Path) -> None:
    targets = targets_of(registered)
    assert targets[PASSED]["aliases"] == {"candidate": "1", "champion": "1"}
    assert targets[FAILED]["aliases"] == {"candidate": "1"}
    assert targets[AWAY]["aliases"] == {"candidate": "1"}
    for key, outcome in ((PASSED, "pass"), (FAILED, "fail"), (AWAY, "not-run")):
        assert (
            client().get_registered_model(f"digits.{key}").aliases
            == {alias: int(number) for alias, number in targets[key]["aliases"].items()}
            or targets[key]["aliases"]
        )
        version = client().get_model_version_by_alias(f"digits.{key}", "candidate")
        assert version.tags["gate"] == outcome
    refused = client().get_model_version_by_alias(f"digits.{FAILED}", "candidate")
    assert refused.tags["reasons"] == "speedup: fail: 0.80 times FP32: ship FP32"
    metrics = json.loads(Path("metrics/register.json").read_text())
    assert (metrics["created"], metrics["promoted"], metrics["registered"]) == (4, 1, 4)


def test_champion_downloads_whole_when_asked_for_by_alias(registered: Path) -> None:
    place = Path(mlflow.artifacts.download_artifacts(f"models:/digits.{PASSED}@champion"))
    original = registered / "targets/exported" / PASSED / "model.onnx"
    assert (place / "model.onnx").read_bytes() == original.read_bytes()
    names = {path.name for path in place.iterdir()}
    assert {"exported.json", "measurement.json", "verdicts.json", "card.md", "MLmodel"} <= names
    info = mlflow.models.get_model_info(f"models:/digits.{PASSED}@champion")
    assert info.signature.inputs.inputs[0].shape == (1, 1, 16, 16)
    assert info.signature.outputs.inputs[0].shape == (1, 2)


def test_logged_model_holds_hardware_metrics_and_lineage_when_registered(registered: Path) -> None:
    targets = targets_of(registered)
    model = client().get_logged_model(targets[FAILED]["model_id"])
    metrics = {metric.key: metric for metric in model.metrics}
    assert metrics["latency_ms.p50"].value == pytest.approx(0.4)
    assert metrics["speedup.low"].value == pytest.approx(0.72)
    manifest = json.loads((registered / "data/manifest/manifest.json").read_text())
    assert metrics["score.accuracy"].dataset_digest == manifest["table_sha256"][:32]
    assert metrics["score.accuracy"].dataset_name == "digits"
    assert model.params["precision"] == "int8"
    assert model.tags["calibration.sha256"] == "c" * 64
    assert model.tags[f"dvc.targets/measured/{FAILED}"] == "f" * 32
    assert model.tags["dvc.data/manifest"].endswith(".dir")
    assert len(model.tags["params.sha256"]) == 64
    found = client().search_logged_models(
        [experiment()], "params.device = 'x86_64' AND metrics.`latency_ms.p50` < 5"
    )
    assert {each.name for each in found} == {PASSED, FAILED}


def test_runs_hold_params_metrics_and_curves_when_stages_ran(registered: Path) -> None:
    found = client().search_runs([experiment()], "tags.stage = 'train'")
    assert len(found) == 1
    train = found[0]
    assert train.data.params["train.recipe.epochs"] == "12"
    assert train.data.metrics["scores.test.accuracy"] == 0.97
    history = client().get_metric_history(train.info.run_id, "curve.val_accuracy")
    assert [(point.step, point.value) for point in history] == [
        (1, pytest.approx(0.7)),
        (2, pytest.approx(0.85)),
        (3, pytest.approx(0.9)),
    ]
    parent = client().get_run(train.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["stage.train"] == train.info.run_id
    assert parent.data.tags["git.dirty"] in ("true", "false")


def test_parent_run_holds_params_and_main_scores_when_two_runs_are_compared(
    registered: Path,
) -> None:
    (parent,) = client().search_runs([experiment()], "tags.execution != ''")
    assert float(parent.data.params["gates.max_drop"]) > 0
    assert parent.data.params["project"] == "digits"
    assert parent.data.params["distill.recipe.ema"] == "0.99"
    metrics = parent.data.metrics
    assert metrics["teacher.accuracy"] == 0.97
    assert metrics[f"{PASSED}.p50_ms"] == pytest.approx(0.5, abs=0.2)
    assert metrics[f"{PASSED}.accuracy"] > 0.9
    assert (metrics["targets.pass"], metrics["targets.fail"]) == (1, 1)
    assert parent.info.run_name == f"run {parent.data.tags['execution'][:8]}"
    assert "dvc.experiment" not in parent.data.tags


def test_parent_run_has_the_experiments_name_when_dvc_runs_it(
    continued: Path, remeasure: Remeasure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wider-student")
    remeasure(continued, PASSED, "pass", p50=0.3)
    go()
    (tried,) = client().search_runs([experiment()], "tags.`dvc.experiment` = 'wider-student'")
    assert tried.info.run_name == "wider-student"
    assert tried.data.metrics[f"{PASSED}.p50_ms"] == pytest.approx(0.3)


def test_files_are_written_here_when_the_project_was_copied(
    registered_once: Path,
    continued: Path,
    remeasure: Remeasure,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def held(root: Path) -> dict[Path, int]:
        files = (root / "mlartifacts").rglob("*")
        return {path.relative_to(root): path.stat().st_mtime_ns for path in files}

    before, here = held(registered_once), held(continued)
    remeasure(continued, PASSED, "pass", p50=0.3)
    go()
    assert "was copied or moved" in capsys.readouterr().err
    assert held(registered_once) == before
    assert len(held(continued)) > len(here)
    for version in versions(PASSED):
        place = mlflow.artifacts.download_artifacts(f"models:/digits.{PASSED}/{version.version}")
        assert Path(place).is_relative_to(continued)
    found = client().get_experiment(experiment())
    assert found.artifact_location == (continued / "mlartifacts").as_uri()
    go()
    assert "was copied or moved" not in capsys.readouterr().err


def test_another_projects_files_stay_where_they_are_when_its_store_is_used(
    registered_once: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    store = f"sqlite:///{registered_once}/mlflow.db"
    assert relocate(store, "digits", tracking.ARTIFACTS) is None
    assert relocate("http://localhost:5000", "digits", tracking.ARTIFACTS) is None
    held = mlflow.MlflowClient(store).get_experiment_by_name("digits")
    assert held.artifact_location == (registered_once / "mlartifacts").as_uri()


def test_nothing_is_made_twice_when_the_same_content_comes_again(run: Path) -> None:
    first, runs = go(), len(client().search_runs([experiment()]))
    assert go() == first
    assert len(client().search_runs([experiment()])) == runs
    assert [len(versions(key)) for key in (PASSED, FAILED, AWAY)] == [1, 1, 1]
    assert len(client().search_logged_models([experiment()])) == 4


def test_only_stages_that_ran_get_a_run_when_the_pipeline_ran_again(
    continued: Path, remeasure: Remeasure
) -> None:
    before = len(client().search_runs([experiment()]))
    remeasure(continued, PASSED, "pass", p50=0.3)
    go()
    # The new parent and the one execution of validate.
    assert len(client().search_runs([experiment()])) == before + 2


def test_champion_becomes_previous_when_a_new_version_passes(
    continued: Path, remeasure: Remeasure
) -> None:
    remeasure(continued, PASSED, "pass", p50=0.3)
    target = go()[PASSED]
    assert target["aliases"] == {"candidate": "2", "champion": "2", "previous": "1"}
    moves = [(move["alias"], move["from"], move["to"]) for move in target["audit"]]
    assert moves == [
        ("candidate", "", "1"),
        ("champion", "", "1"),
        ("candidate", "1", "2"),
        ("previous", "", "1"),
        ("champion", "1", "2"),
    ]
    assert all(move["by"] and move["at"].endswith("+00:00") for move in target["audit"])


@pytest.mark.parametrize("outcome", ["fail", "not-run"])
def test_champion_stays_when_the_new_version_does_not_pass(
    continued: Path, reexport: Reexport, outcome: str
) -> None:
    reexport(continued, PASSED, outcome, b"other weights")
    target = go()[PASSED]
    assert target["aliases"] == {"candidate": "2", "champion": "1"}


@pytest.mark.parametrize(
    "method",
    [
        "log_batch",
        "log_model_artifacts",
        "create_model_version",
        "set_registered_model_tag",
        "set_registered_model_alias",
    ],
)
def test_registration_is_completed_without_doubles_when_killed_half_way(
    run: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    class Killed(BaseException):
        pass

    real = getattr(mlflow.MlflowClient, method)

    def die_after(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, method, die_after)
        with pytest.raises(Killed):
            go()
    assert not Path("targets/registered").exists()
    target = go()[PASSED]
    assert target["aliases"] == {"candidate": "1", "champion": "1"}
    assert [move["alias"] for move in target["audit"]] == ["candidate", "champion"]
    assert len(versions(PASSED)) == 1
    models = client().search_logged_models([experiment()])
    assert [str(model.status) for model in models] == ["READY"] * 4
    stages = [each.data.tags.get("stage") for each in client().search_runs([experiment()])]
    assert len(stages) == len(set(stages)) == 18


def test_rollback_swaps_and_stays_when_the_same_content_comes_again(
    continued: Path, remeasure: Remeasure
) -> None:
    remeasure(continued, PASSED, "pass", p50=0.3)
    go()
    register.rollback(Stage("rollback", PASSED))
    assert client().get_model_version_by_alias(f"digits.{PASSED}", "champion").version == 1
    assert go()[PASSED]["aliases"] == {"candidate": "2", "champion": "1", "previous": "2"}


def test_rollback_is_refused_when_there_is_no_previous(registered: Path) -> None:
    with pytest.raises(UserError, match="needs a champion and a previous; it has"):
        register.rollback(Stage("rollback", PASSED))
    with pytest.raises(UserError, match="no such registered model"):
        register.rollback(Stage("rollback", "no-such-target"))


def test_environment_wins_when_it_names_a_store(
    run: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_store, run / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{run}/other.db")
    go()
    assert client().get_experiment_by_name("digits") is None
    other = mlflow.MlflowClient(f"sqlite:///{run}/other.db")
    assert other.get_registered_model(f"digits.{PASSED}").aliases


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "file:///never-made"])
def test_store_is_named_when_it_cannot_be_used(
    run: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match=rf"MLflow at {uri}: .*MLFLOW_TRACKING_URI"):
        go()


def test_project_is_refused_when_the_registry_cannot_hold_its_name(run: Path) -> None:
    with pytest.raises(UserError, match="project: 'a/b' may hold letters"):
        tracking.Store("sqlite:///mlflow.db", "a/b")


def test_unmeasured_targets_are_counted_when_validate_has_not_run(run: Path) -> None:
    shutil.rmtree(run / "targets/measured" / AWAY)
    assert set(go()) == {PASSED, FAILED, "jetson-tensorrt-int8"}
    assert json.loads(Path("metrics/register.json").read_text())["unmeasured"] == 1


def test_no_other_stage_pays_for_mlflow() -> None:
    root = Path(str(importlib.util.find_spec("stages").origin)).parent.parent  # type: ignore[union-attr]
    users = {
        path.relative_to(root).as_posix()
        for folder in ("edgepress", "stages", "flows")
        for path in (root / folder).rglob("*.py")
        if any(
            line.strip().startswith(("import mlflow", "from mlflow"))
            for line in path.read_text(encoding="utf-8").splitlines()
        )
    }
    assert users == {"stages/tracking.py"}


def test_version_stays_candidate_when_it_is_measurably_worse_than_the_champion(
    continued: Path, remeasure: Remeasure, capsys: pytest.CaptureFixture[str]
) -> None:
    remeasure(continued, PASSED, "pass", p50=0.3, score=0.1)
    target = go()[PASSED]
    assert target["aliases"] == {"candidate": "2", "champion": "1"}
    assert "champion's 0.96" in target["held_back"]
    assert f"{PASSED} stays candidate: " in capsys.readouterr().err
    version = client().get_model_version_by_alias(f"digits.{PASSED}", "candidate")
    assert version.tags["gate"] == "pass"
    assert version.tags["held_back"] == target["held_back"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"targets/exported/{PASSED}/model.onnx", "the stage validate saw"),
        (f"targets/measured/{PASSED}/measurement.json", "the stage judge saw"),
    ],
)
def test_release_is_refused_when_a_file_changed_since_it_was_judged(
    run: Path, path: str, words: str
) -> None:
    with Path(path).open("a") as file:
        file.write(" ")
    with pytest.raises(UserError, match=words):
        go()
    assert not Path("targets/registered").exists()


def test_files_are_written_again_when_the_store_has_lost_them(run: Path) -> None:
    go()
    name = f"models:/digits.{PASSED}@champion"
    place = Path(mlflow.artifacts.download_artifacts(name))
    (place / "model.onnx").unlink()
    (place / "MLmodel").unlink()
    go()
    assert (place / "MLmodel").exists()
    restored = Path(mlflow.artifacts.download_artifacts(name)) / "model.onnx"
    original = run / "targets/exported" / PASSED / "model.onnx"
    assert restored.read_bytes() == original.read_bytes()
