"""MLflow, and nothing else here imports it: runs of stages, releases of models, aliases by verdict.

Every step looks first whether it was done before, so a registration that was killed is finished by
the next one without doubling anything.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edgepress.errors import UserError
from edgepress.records.exported import Port
from edgepress.records.measurement import Interval
from edgepress.sections import project_name
from edgepress.validation.promotion import Standing, refusal
from stages.releases import Release, StageLog

# MLflow reads these while it is imported; a closed network must not hold a run up for minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

import mlflow  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import Model, ModelSignature  # noqa: E402
from mlflow.types import Schema, TensorSpec  # noqa: E402

ARTIFACTS = Path("mlartifacts")
CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
_BATCH = 100


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


class Store:
    """One project's experiment and registered models in one MLflow store."""

    def __init__(self, uri: str, project: str) -> None:
        """Open the store, creating the experiment if need be; UserError if it cannot be reached."""
        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(uri)
        self.project = project_name(project, "params.yaml")
        try:
            self.client = mlflow.MlflowClient()
            self._experiment = self._open_experiment(uri)
        except (MlflowException, OSError) as error:
            first = str(error).strip().split("\n")[0].split(" (Caused by")[0]
            raise UserError(
                f"MLflow at {uri}: {first}; start it, or name another store in params.yaml "
                "(register.tracking_uri) or in MLFLOW_TRACKING_URI"
            ) from None

    def log_stages(
        self, execution: str, logs: Sequence[StageLog], tags: Mapping[str, str]
    ) -> dict[str, str]:
        """Log one parent run and a child per stage execution; return title -> run id.

        A stage that was up to date keeps the run of its last execution; the parent names it.
        """
        parent = self._find_run({"execution": execution})
        if parent is None:
            parent = self._new_run(f"run {execution[:8]}", {"execution": execution})
        runs = {log.title: self._log_stage(log, parent.info.run_id) for log in logs}
        named = {**tags, **{f"stage.{title}": run_id for title, run_id in runs.items()}}
        self._log(parent, tags=[RunTag(_key(name), value) for name, value in named.items()])
        self.client.set_terminated(parent.info.run_id)
        return runs

    def log_dataset(self, run_id: str, digest: str, source: str) -> None:
        """Name the data version that a run's measurements were taken on."""
        data = Dataset(self.project, digest, "dvc", json.dumps({"path": source}))
        self.client.log_inputs(run_id, [DatasetInput(data)])

    def register(self, release: Release, run_id: str, dataset: str, margin: float) -> Registered:
        """Make or find the release's version, set the candidate, and promote it if it passed.

        It is promoted unless it was rolled back once or is worse than the champion by `margin`.
        """
        name = f"{self.project}.{release.key}"
        self._ensure_model(name, release)
        version = self._find_version(name, release.content)
        created = version is None
        if version is None:
            model_id = self._log_model(release, run_id, dataset)
            version = self.client.create_model_version(
                name,
                source=f"models:/{model_id}",
                run_id=run_id,
                model_id=model_id,
                tags={
                    "content": release.content,
                    "model_id": model_id,
                    "standing": _standing_text(release.standing),
                    **release.tags,
                },
            )
        else:
            self._restore_artifacts(str(version.tags["model_id"]), release)
        number = str(version.version)
        # A gate can change its mind about the same content when its bounds change.
        self.client.set_model_version_tag(name, number, "gate", release.outcome)
        self.client.set_model_version_tag(name, number, "reasons", release.reasons[:4000])
        self._move(name, CANDIDATE, number, release.outcome)
        held_back = (
            "" if release.outcome != "pass" else self._held_back(name, version, release, margin)
        )
        promoted = release.outcome == "pass" and not held_back and self._promote(name, number)
        self.client.set_model_version_tag(name, number, "held_back", held_back[:4000])
        made = (created, promoted, held_back)
        return self._registered(name, number, version.tags["model_id"], made)

    def rollback(self, key: str) -> tuple[str, str]:
        """Swap champion and previous; return the old and the new champion's version."""
        name = f"{self.project}.{key}"
        aliases = self._aliases(name)
        if CHAMPION not in aliases or PREVIOUS not in aliases:
            held = ", ".join(f"{alias} {number}" for alias, number in aliases.items()) or "no alias"
            raise UserError(f"{name}: a rollback needs a champion and a previous; it has {held}")
        bad, good = aliases[CHAMPION], aliases[PREVIOUS]
        if bad == good:
            raise UserError(f"{name}: champion and previous are both version {bad} already")
        self.client.set_model_version_tag(name, bad, "rolled_back", "true")
        self._move(name, CHAMPION, good, "rollback")
        self._move(name, PREVIOUS, bad, "rollback")
        return bad, good

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
            # The same time stamp makes a second attempt overwrite the first.
            at = int(run.info.start_time)
            metrics = [Metric(_key(name), value, at, 0) for name, value in log.metrics.items()]
            for name, points in log.curves.items():
                metrics += [Metric(_key(name), value, at, epoch) for epoch, value in points]
            params = [Param(_key(name), value[:6000]) for name, value in log.params.items()]
            self._log(run, metrics=metrics, params=params)
            self.client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

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

    def _find_version(self, name: str, content: str) -> Any | None:
        found = self.client.search_model_versions(f"name = '{name}' and tags.content = '{content}'")
        return found[0] if found else None

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

    def _promote(self, name: str, number: str) -> bool:
        champion = self._aliases(name).get(CHAMPION)
        if champion == number:
            return False
        if champion is not None:
            self._move(name, PREVIOUS, champion, "pass")
        self._move(name, CHAMPION, number, "pass")
        return True

    def _move(self, name: str, alias: str, number: str, verdict: str) -> None:
        """Point an alias at a version, and write the move down before it is made."""
        old = self._aliases(name).get(alias, "")
        if old == number:
            return
        trail = self._audit(name)
        move = {"alias": alias, "from": old, "to": number, "verdict": verdict}
        last = next((entry for entry in reversed(trail) if entry["alias"] == alias), None)
        # After a kill between the note and the move the note is there already.
        if last is None or (last["from"], last["to"]) != (old, number):
            at = datetime.now(UTC).isoformat(timespec="seconds")
            note = json.dumps({**move, "at": at, "by": _user()})
            self.client.set_registered_model_tag(name, f"audit.{len(trail):06d}", note)
        self.client.set_registered_model_alias(name, alias, number)

    def _aliases(self, name: str) -> dict[str, str]:
        try:
            model = self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise UserError(f"{name}: no such registered model; run the register stage") from None
        return {alias: str(number) for alias, number in model.aliases.items()}

    def _audit(self, name: str) -> list[dict[str, str]]:
        tags = self.client.get_registered_model(name).tags
        return [json.loads(tags[key]) for key in sorted(tags) if key.startswith("audit.")]

    def _registered(
        self, name: str, number: str, model_id: str, made: tuple[bool, bool, str]
    ) -> Registered:
        trail = tuple(self._audit(name))
        return Registered(name, number, model_id, *made, self._aliases(name), trail)

    def _held_back(self, name: str, version: Any, release: Release, margin: float) -> str:
        """Say why a version that passed may not be champion; empty where it may."""
        if version.tags.get("rolled_back") == "true":
            return "it was rolled back"
        champion = self._aliases(name).get(CHAMPION)
        if champion in (None, str(version.version)) or release.standing is None:
            return ""
        held = self.client.get_model_version(name, champion).tags.get("standing")
        return refusal(release.standing, _standing(held), margin) or ""

    def _restore_artifacts(self, model_id: str, release: Release) -> None:
        """Write the files of a model again where the store has lost them."""
        wanted = {file.path: file.bytes for file in release.exported.files}
        held = {}
        waiting: list[str | None] = [None]
        while waiting:
            folder = waiting.pop()
            try:
                found = self.client.list_logged_model_artifacts(model_id, folder)
            except (MlflowException, OSError):
                found = []
            waiting += [each.path for each in found if each.is_dir]
            held.update({each.path: each.file_size for each in found if not each.is_dir})
        if any(held.get(path) != size for path, size in wanted.items()):
            self._write_files(model_id, release)

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


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
