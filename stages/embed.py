"""Embed the training images: `python -m stages.embed`."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from edgepress.curation.encoders.request import Request
from edgepress.data.images import ImageSet
from edgepress.errors import UserError
from edgepress.records.embeddings import Embeddings
from edgepress.records.inputs import InputSpec
from stages import models
from stages.stage import Stage, main


def work(stage: Stage) -> None:
    """Encode every usable training image and write data/embeddings."""
    encoder = stage.method("curation.encoders", "embed")
    images = ImageSet.open(models.MANIFEST, "train")
    spec = stage.section(InputSpec, "input")
    inputs = hashlib.sha256("\n".join(images.sha256).encode()).hexdigest()
    checkpoint = models.open_checkpoint(stage, "embed", inputs, spec.model_dump_json())
    matrix = encoder(Request(images, spec, stage.seed, checkpoint))
    if not np.isfinite(matrix).all():
        bad = images.ids[int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])]
        raise UserError(f"embed: the encoder's answer for image {bad!r} is not finite")
    settings = json.dumps({"embed": stage.raw("embed"), "seed": stage.seed}, sort_keys=True)
    with stage.output("data/embeddings") as folder:
        Embeddings.create(
            folder,
            matrix.astype(np.float32),
            images.ids,
            encoder=encoder.name,
            encoder_sha256=hashlib.sha256(settings.encode()).hexdigest(),
        )
    stage.metrics(images=len(images), width=int(matrix.shape[1]))
    checkpoint.clear()


if __name__ == "__main__":
    main("embed", work)
