"""Write one target's model in its own format: `python -m stages.export x86_64-onnxruntime-int8`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepress.backbones import bundle
from edgepress.errors import UserError, nearest
from edgepress.export.job import ExportJob, read_calibration
from edgepress.methods import Method, names, resolve
from edgepress.params import lookup
from edgepress.records.exported import Exported
from edgepress.records.quantized import BUNDLE, CALIBRATION, Quantized
from edgepress.records.target import Target
from stages.stage import PARAMS, Stage, main

QUANTIZED = Path("data/quantized")


def work(stage: Stage) -> None:
    """Read data/quantized/<precision>, write data/exported/<target>."""
    target = Target.parse(str(stage.key))
    exporter = _exporter(stage, target)
    source = QUANTIZED / target.precision
    quantized = Quantized.read(source)
    record, network = bundle.load(source / BUNDLE)
    images = None
    if quantized.calibration_sha256 is not None:
        images = read_calibration(source / CALIBRATION)
    with stage.output(f"data/exported/{target}") as out:
        out.mkdir()
        job = ExportJob(target, quantized, network, record, images, out)
        exported: Exported = exporter(job)
    stage.metrics(size_bytes=exported.size_bytes, files=len(exported.files))


def _exporter(stage: Stage, target: Target) -> Method:
    """Resolve the target's exporter with its options; the method's name is the section's key."""
    place = f"targets.{target}"
    # A target's key holds no dot, so it can be looked up beside the options it names.
    name = lookup(stage.raw("targets"), f"{target}.export", f"{PARAMS}: targets")
    known = names("export")
    if name not in known:
        raise UserError(
            f"{PARAMS}: {place}.export: {name!r} is not one of {', '.join(known)}"
            f"{nearest(str(name), known)}"
        )
    runtimes = names("runtimes")
    if target.runtime not in runtimes:
        raise UserError(
            f"{PARAMS}: {place}: runtime {target.runtime!r} is not one of {', '.join(runtimes)}"
            f"{nearest(target.runtime, runtimes)}"
        )
    options: Any = stage.raw(f"export.{name}")
    if isinstance(options, dict):
        options = {**options, "method": name}
    return resolve("export", options, str(PARAMS), f"export.{name}")


if __name__ == "__main__":
    main("export", work, keyed=True)
