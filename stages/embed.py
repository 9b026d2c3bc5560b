"""Embed the training images: `python -m stages.embed`."""

from __future__ import annotations

import hashlib
import json

from edgepress.data.images import ImageSet
from edgepress.encoders.network_encoder import NetworkEncoder
from edgepress.encoders.request import Encoder, Request
from edgepress.progress import counted
from edgepress.records.embeddings import Embeddings
from edgepress.records.inputs import InputSpec
from stages import models
from stages.decoded import Wanted, shared
from stages.places import EMBEDDINGS, MANIFEST
from stages.progress import lines
from stages.stage import Stage, main

USES = {"embed": "encoders", "task": "tasks:labels"}
FILES = ("embed",)
PROCESSOR = "instructions"


def work(stage: Stage) -> None:
    """Encode every usable training image and write data/embeddings."""
    method = stage.method("encoders", "embed")
    images = ImageSet.open(MANIFEST, "train")
    spec = stage.section(InputSpec, "input")
    checkpoint = models.open_checkpoint(stage, "embed", images.digest(), spec.model_dump_json())
    settings = json.dumps({"embed": stage.raw("embed"), "seed": stage.seed}, sort_keys=True)
    shaped = hashlib.sha256(settings.encode())
    with stage.output(EMBEDDINGS) as folder, lines(stage.title) as progress:
        progress("making the encoder", 0, 0)
        seen = [images]

        def mapped(asked: InputSpec) -> ImageSet:
            seen[:] = [shared(stage, Wanted("embedded", images), asked, progress)]
            return seen[0]

        encoder: Encoder = method(
            Request(images, spec, stage.seed, checkpoint, mapped, progress, progress.say)
        )
        if isinstance(encoder, NetworkEncoder):
            saved = encoder.save(folder, stage.raw("embed"))
            shaped.update(saved.weights_sha256.encode())
        embeddings = Embeddings.create(
            folder,
            counted(encoder.embed(seen[0]), "embedding images", len(images), progress),
            images.ids,
            encoder=method.name,
            encoder_sha256=shaped.hexdigest(),
        )
    stage.metrics(images=len(images), width=embeddings.width)
    checkpoint.clear()


if __name__ == "__main__":
    main("embed", work)
