"""Prepare the slimmed network for one precision: `python -m stages.quantize int8`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edgepress.backbones import bundle
from edgepress.data.images import ImageSet
from edgepress.methods import Method
from edgepress.quantization.job import Quantization, QuantizeJob
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import BUNDLE, CALIBRATION, REFERENCE, Quantized
from edgepress.records.record import sha256_file, sha256_folder
from edgepress.records.selection import Selection
from stages.stage import Stage, main

MANIFEST = Path("data/manifest")
SELECTION = Path("data/selection")
SLIM = Path("data/slim")
BATCH = 64


def work(stage: Stage) -> None:
    """Read data/slim and the kept training images, write data/quantized/<precision>."""
    method = stage.method("quantization", f"quantize.{stage.key}")
    record, network = bundle.load(SLIM)
    kept = Selection.read(SELECTION).kept_ids(SELECTION)
    images = ImageSet.open(MANIFEST, "train", kept)
    job = QuantizeJob(network, record, images, stage.seed)
    result: Quantization = method(job)
    draft = bundle.Draft(
        backbone=record.backbone,
        classes=record.classes,
        input=record.input,
        surgery=(*record.surgery, *result.surgery),
        lineage={"stage": stage.title, "seed": str(stage.seed), "slim": sha256_folder(SLIM)},
    )
    test = ImageSet.open(MANIFEST, "test")
    logits = answers(result.network, test, record.input)
    with stage.output(f"data/quantized/{stage.key}") as folder:
        saved = bundle.save(folder / BUNDLE, result.network, draft)
        if result.calibration is not None:
            result.calibration.write(folder / CALIBRATION)
        np.savez(
            folder / REFERENCE, allow_pickle=False, ids=test.ids, labels=test.labels, logits=logits
        )
        _describe(stage, method, result, folder).write(folder)
    stage.metrics(
        parameters=saved.parameters,
        macs=saved.macs,
        calibration_images=0 if result.calibration is None else len(result.calibration.ids),
        test_images=len(test),
        test_accuracy=round(float((logits.argmax(1) == test.labels).mean()), 6),
    )


def answers(network: nn.Module, images: ImageSet, spec: InputSpec) -> npt.NDArray[np.float32]:
    """Return the network's logits, float32 [N, classes], holding one batch of pixels at a time."""
    with torch.inference_mode():
        batches = [network(torch.from_numpy(b)).numpy() for b in images.batches(spec, BATCH)]
    return np.concatenate(batches)


def _describe(stage: Stage, method: Method, result: Quantization, folder: Path) -> Quantized:
    calibrated = result.calibration is not None
    return Quantized(
        precision=str(stage.key),
        method=method.name,
        recipe=result.recipe,
        bundle_sha256=sha256_folder(folder / BUNDLE),
        calibration_sha256=sha256_folder(folder / CALIBRATION) if calibrated else None,
        reference_sha256=sha256_file(folder / REFERENCE),
    )


if __name__ == "__main__":
    main("quantize", work, keyed=True)
