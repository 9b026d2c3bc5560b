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

from edgepress.errors import UserError
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
        if not re.fullmatch(r"[\w.-]+", project):
            raise UserError(
                f"params.yaml: project: {project!r} may hold letters, digits, _ . - only"
            )
        mlflow.set_tracking_uri(uri)
        self.project = project
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

    def register(self, release: Release, run_id: str, dataset: str) -> Registered:
        """Make or find the release's version, set the candidate, and promote it if it passed."""
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
                tags={"content": release.content, "model_id": model_id, **release.tags},
            )
        number = str(version.version)
        # A gate can change its mind about the same content when its bounds change.
        self.client.set_model_version_tag(name, number, "gate", release.outcome)
        self.client.set_model_version_tag(name, number, "reasons", release.reasons[:4000])
        self._move(name, CANDIDATE, number, release.outcome)
        rolled_back = version.tags.get("rolled_back") == "true"
        promoted = release.outcome == "pass" and not rolled_back and self._promote(name, number)
        return self._registered(name, number, version.tags["model_id"], created, promoted)

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
        self.client.log_model_artifacts(model_id, str(release.folder))
        with tempfile.TemporaryDirectory() as place:
            for file_name, text in release.documents.items():
                Path(place, file_name).write_text(text, encoding="utf-8")
            _describe(release, model_id).save(str(Path(place, "MLmodel")))
            self.client.log_model_artifacts(model_id, place)
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
        except MlflowException:
            raise UserError(f"{name}: no such registered model; run the register stage") from None
        return {alias: str(number) for alias, number in model.aliases.items()}

    def _audit(self, name: str) -> list[dict[str, str]]:
        tags = self.client.get_registered_model(name).tags
        return [json.loads(tags[key]) for key in sorted(tags) if key.startswith("audit.")]

    def _registered(
        self, name: str, number: str, model_id: str, created: bool, promoted: bool
    ) -> Registered:
        trail = tuple(self._audit(name))
        return Registered(name, number, model_id, created, promoted, self._aliases(name), trail)


def _describe(release: Release, model_id: str) -> Any:
    """Return the MLmodel file: signature for a batch of one, and which file to open."""
    exported = release.exported
    _, channels, height, width = exported.input.shape
    shape = (channels, height, width) if exported.layout == "NCHW" else (height, width, channels)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(_float32(), (1, *shape), exported.input_name)]),
        outputs=Schema([TensorSpec(_float32(), (1, len(exported.classes)), exported.output_name)]),
    )
    flavor = {"target": release.key, "format": exported.format, "entry": exported.entry}
    return Model(signature=signature, flavors={"edgepress": flavor}, model_id=model_id)


def _float32() -> Any:
    import numpy as np

    return np.dtype("float32")


def _key(name: str) -> str:
    # Class names may stand in a metric's name, and MLflow takes few characters.
    return re.sub(r"[^\w.\- ]", "_", name)[:250]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
