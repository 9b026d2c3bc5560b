"""Judge what was measured by the gates of params.yaml: `python -m stages.judge`.

A failing gate is a result, not an error: it is written as a Verdict and blocks promotion. Nothing
is measured here, so that a changed bound costs nothing.
"""

from __future__ import annotations

from edgepress.errors import UserError
from edgepress.records.measurement import Measurement
from edgepress.records.record import sha256_file
from edgepress.records.target import Target
from edgepress.validation.gates import Gates, judge
from stages.places import JUDGED, MEASURED
from stages.progress import lines
from stages.stage import Stage, main
from stages.targets import budget, keys


def work(stage: Stage) -> None:
    """Judge every target that params.yaml names."""
    gates = stage.section(Gates, "gates")
    counts = dict.fromkeys(("pass", "fail", "not_run"), 0)
    measured = {key: _measured(key) for key in keys(stage.tree)}
    with stage.output(JUDGED) as out, lines(stage.title) as progress:
        for done, (key, measurement) in enumerate(measured.items()):
            progress("judging targets", done, len(measured))
            target = measurement.target
            baseline = target.model_copy(update={"precision": str(stage.raw("baseline"))})
            before = measured.get(str(baseline))
            verdicts = judge(measurement, gates, budget(stage.tree, target), baseline, before)
            sha256 = sha256_file(MEASURED / key / Measurement.file_name)
            verdicts = verdicts.model_copy(update={"measurement_sha256": sha256})
            verdicts.write(out / key)
            counts[verdicts.outcome.replace("-", "_")] += 1
    stage.metrics(**counts)


def _measured(key: str) -> Measurement:
    """Return the measurement of a target; one of another target is refused."""
    measurement = Measurement.read(MEASURED / key)
    if measurement.target != Target.parse(key):
        raise UserError(
            f"{MEASURED / key}: holds a measurement of {measurement.target}; validate it"
        )
    return measurement


if __name__ == "__main__":
    main("judge", work)
