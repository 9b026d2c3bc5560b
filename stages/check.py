"""Stage check: hold the manifest against its rules; a critical finding stops the pipeline.

Reads data/manifest, writes data/check. Its file `passed` holds the manifest's hash: what depends on
that file waits for the check, yet stays as it is when only the limits change. On a critical finding
the folder is kept as .edgepress/check, to look at.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from edgepress.data.checking import check_manifest
from edgepress.data.rules import LEAKS, Limits
from edgepress.errors import UserError
from edgepress.records.findings import OFFENDING, PASSED, Findings
from edgepress.records.manifest import Manifest
from edgepress.validation.gates import Gates
from edgepress.validation.sufficiency import shortfalls
from edgepress.validation.timing import Timing
from stages.places import CHECK, MANIFEST, SCRATCH
from stages.progress import lines
from stages.stage import Stage, main

USES = {"task": "tasks:labels tasks:answers"}
KEPT = SCRATCH / "check"


def work(stage: Stage) -> None:
    """Check the manifest by the limits of params.yaml."""
    limits = stage.section(Limits, "check")
    shutil.rmtree(KEPT, ignore_errors=True)
    with stage.output(CHECK) as folder, lines(stage.title) as progress:
        progress("holding the manifest against its rules", 0, 0)
        findings = check_manifest(MANIFEST, limits, folder)
        if findings.failed("critical"):
            shutil.copytree(folder, KEPT)
            raise UserError(_refusal(findings))
        (folder / PASSED).write_text(findings.manifest_sha256 + "\n", encoding="utf-8")
    unprovable = _unprovable(stage)
    for line in (*_warnings(findings), *unprovable):
        sys.stderr.write(f"{stage.title}: warning: {line}\n")
    stage.metrics(
        images=findings.images,
        warnings=len(findings.failed("warning")),
        unprovable=len(unprovable),
        offending={finding.rule: finding.offending for finding in findings.findings},
    )


def _unprovable(stage: Stage) -> list[str]:
    """Say which bounds the test split is too small to prove, before anything is trained."""
    manifest = Manifest.read(MANIFEST)
    shares = stage.task(manifest.classes).answers.shares
    gates = stage.section(Gates, "gates")
    bounds = {name: bound for name, bound in gates.min_score.items() if name in shares}
    if not shares:
        return []
    gates = gates.model_copy(update={"min_score": bounds})
    confidence = stage.section(Timing, "validate").confidence
    per_class = manifest.counts.get("test", {})
    return shortfalls(manifest.items.get("test", 0), per_class, gates, confidence)


def _warnings(findings: Findings) -> Iterator[str]:
    for each in findings.failed("warning"):
        yield f"{MANIFEST}: {each.rule}: {each.offending} row(s), {', '.join(each.examples)}"


def _refusal(findings: Findings) -> str:
    broken = findings.failed("critical")
    clauses = [f"{f.rule}: {f.offending} row(s), {', '.join(f.examples)}" for f in broken]
    mend = ""
    if any(f.rule in LEAKS for f in broken):
        mend = "; mend the splits, or set ingest.split.leaks: quarantine"
    return f"{MANIFEST}: {'; '.join(clauses)}; all rows are in {KEPT / OFFENDING}{mend}"


if __name__ == "__main__":
    main("check", work)
