"""MLflow, and nothing else here imports it: runs of stages, releases of models, aliases by verdict.

Every step looks first whether it was done before, so a registration that was killed is finished by
the next one without doubling anything.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from edgepress.records.exported import Exported, Port
from edgepress.records.measurement import Interval
from edgepress.sections import project_name
from edgepress.validation.promotion import Standing, refusal
from stages.aliases import CANDIDATE, CHAMPION, Aliases
from stages.outages import explained, probe, unopened
from stages.releases import Release, StageLog
from stages.relocation import relocate

# MLflow reads these while it is imported; a closed network must not hold a run up for minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import Model, ModelSignature  # noqa: E402
from mlflow.types import Schema, TensorSpec  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

ARTIFACTS = Path("mlartifacts")
_BATCH = 100
_STORE_ERRORS = (MlflowException, OSError, SQLAlchemyError)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Registered:
    """What the registry holds of one target after a registration."""

    name: str
    version: str
    model_id: str
    created: bool
    """A new version was made; False where this very content was there already."""
    promoted: bool
    """The champion moved to this version just now."""
    held_back: str
    """Why a version that passed is no champion; empty where it is, or did not pass."""
    aliases: Mapping[str, str]
    """Alias -> version."""
    audit: tuple[Mapping[str, str], ...]
    """Every move of an alias, oldest first."""


def _reached(
    method: Callable[Concatenate[Store, P], T],
) -> Callable[Concatenate[Store, P], T]:
    """Make a failure of the store itself one line that names it; others stay what they are."""

    @wraps(method)
    def reached(store: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(store, *args, **kwargs)
        except _STORE_ERRORS as error:
            line = explained(error, store.uri)
            if line is None:
                raise
            raise line from None

    return reached


class Store:
    """One project's experiment and registered models in one MLflow store."""

    def __init__(self, uri: str, project: str) -> None:
        """Open the store, creating the experiment if need be; UserError if it cannot be reached."""
        for name in ("mlflow", "alembic", "urllib3"):
            # What goes wrong is raised as well; MLflow would log its traceback beside that.
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.uri = uri
        self.project = project_name(project, "params.yaml")
        probe(uri)
        self.moved_from = relocate(uri, self.project, ARTIFACTS)
        """Address of the files before the project was copied or moved here."""
        mlflow.set_tracking_uri(uri)
        try:
            self.client = mlflow.MlflowClient()
            self._experiment = self._open_experiment(uri)
        except _STORE_ERRORS as error:
            raise unopened(error, uri) from None

    @_reached
    def log_stages(
        self, execution: str, whole: StageLog, logs: Sequence[StageLog], tags: Mapping[str, str]
    ) -> dict[str, str]:
        """Log one parent run and a child per stage execution; return title -> run id.

        The parent has the run's parameters and main scores, `whole`. A stage that was up to date
        keeps the run of its last execution; the parent names it.
        """
        parent = self._find_run({"execution": execution})
        if parent is None:
            parent = self._new_run(whole.title, {"execution": execution})
        if parent.info.status == "RUNNING":
            self._log_numbers(parent, whole)
        runs = {log.title: self._log_stage(log, parent.info.run_id) for log in logs}
        named = {**tags, **{f"stage.{title}": run_id for title, run_id in runs.items()}}
        self._log(parent, tags=[RunTag(_key(name), value) for name, value in named.items()])
        self.client.set_terminated(parent.info.run_id)
        return runs

    @_reached
    def log_dataset(self, run_id: str, digest: str, source: str) -> None:
        """Name the data version that a run's measurements were taken on."""
        data = Dataset(self.project, digest, "dvc", json.dumps({"path": source}))
        self.client.log_inputs(run_id, [DatasetInput(data)])

    @_reached
    def register(self, release: Release, run_id: str, dataset: str, margin: float) -> Registered:
        """Make or find the release's version, set the candidate, and promote it if it passed.

        It is promoted unless it was rolled back once or is worse than the champion by `margin`.
        """
        aliases = Aliases(self.client, f"{self.project}.{release.key}")
        self._ensure_model(aliases.name, release)
        version, created = self._version(aliases.name, release, run_id, dataset)
        number, model_id = str(version.version), str(version.tags["model_id"])
        # A gate can change its mind about the same content when its bounds change.
        self._tag(aliases.name, number, gate=release.outcome, reasons=release.reasons)
        aliases.move(CANDIDATE, number, release.outcome)
        passed = release.outcome == "pass"
        held_back = self._held_back(aliases, version, release, margin) if passed else ""
        promoted = passed and not held_back and aliases.promote(number)
        self._tag(aliases.name, number, held_back=held_back)
        return Registered(
            aliases.name,
            number,
            model_id,
            created,
            promoted,
            held_back,
            aliases.held(),
            tuple(aliases.trail()),
        )

    @_reached
    def rollback(self, key: str) -> tuple[str, str]:
        """Swap a target's champion and previous; return the old and the new champion's version."""
        return Aliases(self.client, f"{self.project}.{key}").rollback()

    def _open_experiment(self, uri: str) -> str:
        found = self.client.get_experiment_by_name(self.project)
        if found is not None:
            return str(found.experiment_id)
        # A server knows where its artifacts go; an embedded store would spread them over mlruns/.
        place = ARTIFACTS.absolute().as_uri() if uri.startswith("sqlite:") else None
        return str(self.client.create_experiment(self.project, artifact_location=place))

    def _find_run(self, tags: Mapping[str, str]) -> Any | None:
        clauses = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self.client.search_runs([self._experiment], clauses, max_results=1)
        return found[0] if found else None

    def _new_run(self, name: str, tags: Mapping[str, str]) -> Any:
        return self.client.create_run(self._experiment, run_name=name, tags=dict(tags))

    def _log_stage(self, log: StageLog, parent: str) -> str:
        identity = {"stage": log.title, "digest": log.digest}
        run = self._find_run(identity)
        if run is None:
            run = self._new_run(log.title, {**identity, "mlflow.parentRunId": parent})
        if run.info.status == "RUNNING":
            self._log_numbers(run, log)
            self.client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def _log_numbers(self, run: Any, log: StageLog) -> None:
        # The same time stamp makes a second attempt overwrite the first.
        at = int(run.info.start_time)
        metrics = [Metric(_key(name), value, at, 0) for name, value in log.metrics.items()]
        for name, points in log.curves.items():
            metrics += [Metric(_key(name), value, at, epoch) for epoch, value in points]
        params = [Param(_key(name), value[:6000]) for name, value in log.params.items()]
        self._log(run, metrics=metrics, params=params)

    def _log(self, run: Any, **kinds: list[Any]) -> None:
        for kind, items in kinds.items():
            for start in range(0, len(items), _BATCH):
                batch = {kind: items[start : start + _BATCH]}
                self.client.log_batch(run.info.run_id, **batch)

    def _ensure_model(self, name: str, release: Release) -> None:
        try:
            self.client.create_registered_model(name, tags={"target": release.key})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _version(self, name: str, release: Release, run_id: str, dataset: str) -> tuple[Any, bool]:
        """Return the version that holds a release, and whether it was made now."""
        found = self.client.search_model_versions(
            f"name = '{name}' and tags.content = '{release.content}'"
        )
        if found:
            self._restore_artifacts(str(found[0].tags["model_id"]), release)
            return found[0], False
        model_id = self._log_model(release, run_id, dataset)
        tags = {
            "content": release.content,
            "model_id": model_id,
            "standing": _standing_text(release.standing),
            **release.tags,
        }
        source = f"models:/{model_id}"
        made = self.client.create_model_version(name, source, run_id, tags, model_id=model_id)
        return made, True

    def _tag(self, name: str, number: str, **tags: str) -> None:
        for key, text in tags.items():
            self.client.set_model_version_tag(name, number, key, text[:4000])

    def _log_model(self, release: Release, run_id: str, dataset: str) -> str:
        """Write files, metrics and lineage as one LoggedModel; a half-written one is completed."""
        model = self._find_model(release)
        if model is None:
            model = self.client.create_logged_model(
                self._experiment,
                name=release.key,
                source_run_id=run_id,
                params=dict(release.params),
                tags={"content": release.content, **release.tags},
                model_type=release.exported.format,
            )
        model_id = str(model.model_id)
        if str(model.status) == "READY":
            self._restore_artifacts(model_id, release)
            return model_id
        self._write_files(model_id, release)
        at = int(model.creation_timestamp)
        metrics = [
            Metric(name, value, at, 0, model_id, self.project, dataset)
            for name, value in release.metrics.items()
        ]
        self.client.log_batch(run_id, metrics=metrics)
        self.client.finalize_logged_model(model_id, "READY")
        return model_id

    def _find_model(self, release: Release) -> Any | None:
        found = self.client.search_logged_models(
            [self._experiment],
            f"tags.content = '{release.content}' AND name = '{release.key}'",
            max_results=1,
        )
        return found[0] if found else None

    def _held_back(self, aliases: Aliases, version: Any, release: Release, margin: float) -> str:
        """Say why a version that passed may not be champion; empty where it may."""
        if version.tags.get("rolled_back") == "true":
            return "it was rolled back"
        champion = aliases.held().get(CHAMPION)
        if champion in (None, str(version.version)) or release.standing is None:
            return ""
        held = self.client.get_model_version(aliases.name, champion).tags.get("standing")
        return refusal(release.standing, _standing(held), margin) or ""

    def _restore_artifacts(self, model_id: str, release: Release) -> None:
        """Write the files of a model again where the store has lost them."""
        held = self._artifacts(model_id)
        whole = all(held.get(file.path) == file.bytes for file in release.exported.files)
        if not whole or not {*release.documents, Exported.file_name, "MLmodel"} <= set(held):
            self._write_files(model_id, release)

    def _artifacts(self, model_id: str) -> dict[str, int]:
        """Return path -> bytes of a model's files; none where the store has lost them."""
        held: dict[str, int] = {}
        waiting: list[str | None] = [None]
        while waiting:
            try:
                found = self.client.list_logged_model_artifacts(model_id, waiting.pop())
            except _STORE_ERRORS as error:
                if explained(error, self.uri):
                    raise
                found = []
            waiting += [each.path for each in found if each.is_dir]
            held |= {each.path: each.file_size for each in found if not each.is_dir}
        return held

    def _write_files(self, model_id: str, release: Release) -> None:
        self.client.log_model_artifacts(model_id, str(release.folder))
        with tempfile.TemporaryDirectory() as place:
            for file_name, text in release.documents.items():
                Path(place, file_name).write_text(text, encoding="utf-8")
            _describe(release, model_id).save(str(Path(place, "MLmodel")))
            self.client.log_model_artifacts(model_id, place)


def _describe(release: Release, model_id: str) -> Any:
    """Return the MLmodel file: signature for a batch of one, and which file to open."""
    exported = release.exported
    part = exported.part
    signature = ModelSignature(inputs=_schema(part.inputs), outputs=_schema(part.outputs))
    flavor = {"target": release.key, "format": exported.format, "entry": part.entry}
    return Model(signature=signature, flavors={"edgepress": flavor}, model_id=model_id)


def _schema(ports: Sequence[Port]) -> Any:
    """Return the tensors as the file has them."""
    return Schema(
        [TensorSpec(np.dtype(port.tensor.dtype), port.stored_shape, port.stored) for port in ports]
    )


def _standing_text(standing: Standing | None) -> str:
    if standing is None:
        return ""
    value = standing.value.model_dump()
    return json.dumps({"name": standing.name, "value": value, "higher": standing.higher_is_better})


def _standing(text: str | None) -> Standing | None:
    """Read a champion's standing back; one of an older registry has none."""
    if not text:
        return None
    held = json.loads(text)
    return Standing(held["name"], Interval.model_validate(held["value"]), held["higher"])


def _key(name: str) -> str:
    # Class names may stand in a metric's name, and MLflow takes few characters.
    return re.sub(r"[^\w.\- ]", "_", name)[:250]
