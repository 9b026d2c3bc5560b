"""Stage ingest: list a source's images, look at every one, and write the manifest.

Reads the source, writes data/manifest.
"""

from __future__ import annotations

from edgepress.data.ingestion import Rules, build_manifest
from edgepress.params import validate
from stages.stage import PARAMS, Stage, main


def work(stage: Stage) -> None:
    """Ingest the source of params.yaml."""
    source = stage.method("data.sources", "ingest.source")
    raw = {key: value for key, value in stage.raw("ingest").items() if key != "source"}
    rules = validate(Rules, raw, str(PARAMS), "ingest")
    with stage.output("data/manifest") as folder:
        manifest = build_manifest(source(folder), folder, rules)
    stage.metrics(
        images=manifest.usable,
        quarantined=sum(manifest.quarantined.values()),
        reasons=manifest.quarantined,
        splits={split: sum(per.values()) for split, per in manifest.counts.items()},
        classes={str(split): per for split, per in manifest.counts.items()},
    )


if __name__ == "__main__":
    main("ingest", work)
