"""Register every target's model; the gates alone move its champion: `python -m stages.register`.

`python -m stages.register rollback TARGET` swaps the target's champion with the previous one.
"""

from __future__ import annotations

import hashlib
import os
import sys

from edgepress.errors import UserError
from edgepress.progress import Progress
from edgepress.records.manifest import Manifest
from edgepress.records.registered import Registered, Registration
from edgepress.sections import Registry
from edgepress.validation.gates import Gates
from stages.gather import gather
from stages.lineage import Lock
from stages.places import MANIFEST, METRICS, REGISTERED
from stages.progress import lines
from stages.releases import releases, stage_logs, whole_log
from stages.stage import Stage, main
from stages.tracking import ARTIFACTS, Store


def work(stage: Stage) -> None:
    """Log the run's stages, register what was measured, write what the registry holds."""
    with lines(stage.title) as progress:
        progress("logging the run to MLflow", 0, 0)
        _register(stage, progress)


def _register(stage: Stage, progress: Progress) -> None:
    run, lock = gather(stage), Lock.read()
    logs, offers = stage_logs(run, lock), releases(run, lock)
    store = open_store(stage)
    digests = "".join(log.digest for log in logs) + run.provenance.params_sha256
    dirty = str(run.provenance.dirty).lower()
    tags = {"git.commit": run.provenance.commit or "none", "git.dirty": dirty}
    execution = hashlib.sha256(digests.encode()).hexdigest()
    # What `dvc exp run` calls its experiment; DVC gives it to the stages it runs.
    tried = os.environ.get("DVC_EXP_NAME")
    whole = whole_log(tried or f"run {execution[:8]}", run, stage.tree)
    if tried:
        tags["dvc.experiment"] = tried
    runs = store.log_stages(execution, whole, logs, tags)
    data = Manifest.read(MANIFEST).table_sha256[:32]
    margin = stage.section(Gates, "gates").max_drop
    answers = {}
    for place, offer in enumerate(offers):
        progress("registering targets", place, len(offers))
        run_id = runs.get(f"validate@{offer.key}")
        if run_id is None:
            path = METRICS / f"validate-{offer.key}.json"
            raise UserError(f"{path}: file not found; validate it again")
        store.log_dataset(run_id, data, str(MANIFEST))
        answers[offer.key] = (offer, store.register(offer, run_id, data, margin))
    with stage.output(REGISTERED) as folder:
        Registered(
            targets={
                key: Registration(
                    name=answer.name,
                    version=answer.version,
                    model_id=answer.model_id,
                    outcome=offer.outcome,
                    held_back=answer.held_back,
                    aliases=dict(answer.aliases),
                    audit=tuple(dict(move) for move in answer.audit),
                )
                for key, (offer, answer) in answers.items()
            }
        ).write(folder)
    for key, (_, answer) in answers.items():
        if answer.held_back:
            sys.stderr.write(f"{stage.title}: {key} stays candidate: {answer.held_back}\n")
    stage.metrics(
        registered=len(answers),
        created=sum(answer.created for _, answer in answers.values()),
        promoted=sum(answer.promoted for _, answer in answers.values()),
        champions=sum("champion" in answer.aliases for _, answer in answers.values()),
        unmeasured=len(run.targets) - len(answers),
    )


def rollback(stage: Stage) -> None:
    """Swap champion and previous of the target named by the stage's key."""
    bad, good = open_store(stage).rollback(str(stage.key))
    sys.stdout.write(f"{stage.key}: champion is version {good} again, version {bad} is previous\n")


def open_store(stage: Stage) -> Store:
    """Open the store of params.yaml, or the one the environment names."""
    params = stage.section(Registry, "register")
    uri = os.environ.get("MLFLOW_TRACKING_URI") or params.tracking_uri
    store = Store(uri, str(stage.raw("project")))
    if store.moved_from is not None:
        sys.stderr.write(
            f"{stage.title}: {uri} was copied or moved from elsewhere: its files are those of "
            f"{ARTIFACTS}/ here, no longer {store.moved_from}\n"
        )
    return store


if __name__ == "__main__":
    if sys.argv[1:2] == ["rollback"]:
        del sys.argv[1]
        main("rollback", rollback, keyed=True)
    else:
        main("register", work)
