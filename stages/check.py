"""Stage check: hold the manifest against its rules; a critical finding stops the pipeline.

Reads data/manifest, writes data/check. Its file `passed` holds the manifest's hash: what depends on
that file waits for the check, yet stays as it is when only the limits change. On a critical finding
the folder is kept as .edgepress/check, to look at.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edgepress.data.checking import check_manifest
from edgepress.data.rules import Limits
from edgepress.errors import UserError
from edgepress.records.findings import OFFENDING, PASSED, Findings
from stages.stage import Stage, main

KEPT = Path(".edgepress/check")


def work(stage: Stage) -> None:
    """Check the manifest by the limits of params.yaml."""
    limits = stage.section(Limits, "check")
    shutil.rmtree(KEPT, ignore_errors=True)
    with stage.output("data/check") as folder:
        findings = check_manifest(Path("data/manifest"), limits, folder)
        if findings.failed("critical"):
            shutil.copytree(folder, KEPT)
            raise UserError(_refusal(findings))
        (folder / PASSED).write_text(findings.manifest_sha256 + "\n", encoding="utf-8")
    stage.metrics(
        images=findings.images,
        warnings=len(findings.failed("warning")),
        offending={finding.rule: finding.offending for finding in findings.findings},
    )


def _refusal(findings: Findings) -> str:
    broken = findings.failed("critical")
    clauses = [f"{f.rule}: {f.offending} row(s), {', '.join(f.examples)}" for f in broken]
    return f"data/manifest: {'; '.join(clauses)}; all rows are in {KEPT / OFFENDING}"


if __name__ == "__main__":
    main("check", work)
