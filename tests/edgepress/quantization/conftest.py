"""Real digits in a manifest, and a job over them."""

from __future__ import annotations

import pytest
from torch import nn

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.splits import Fractions
from edgepress.methods import resolve
from edgepress.quantization.quantize_job import QuantizeJob
from edgepress.records.bundle import Bundle
from edgepress.records.inputs import InputSpec
from tests.classified import classified


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    folder = tmp_path_factory.mktemp("manifest")
    source = resolve("data.sources", {"method": "digits"}, "test", "source")
    rules = Rules(split=Fractions(val=0.1, test=0.2), limit=200)
    classified(source(folder), folder, rules)
    return ImageSet.open(folder, "train")


@pytest.fixture
def job(images: ImageSet) -> QuantizeJob:
    bundle = Bundle(
        task={"method": "classification"},
        backbone={},
        head={},
        classes=images.classes,
        input=InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,)),
        parameters=1,
        macs=1,
        lineage={},
        weights_sha256="w" * 64,
    )
    return QuantizeJob(nn.Flatten(), bundle, images, seed=0)
