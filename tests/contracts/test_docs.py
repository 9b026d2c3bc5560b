"""The example of docs/add_a_method.md works as it stands."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import edgepress.quantization
from edgepress import methods
from edgepress.commands.preset import merge
from edgepress.sections import problems
from tests.classified import classified

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "add_a_method.md").read_text()


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The library with the page's file in its place; the page's YAML, parsed."""
    package = tmp_path / "edgepress"
    only_code = shutil.ignore_patterns("__pycache__", "templates")
    shutil.copytree(ROOT / "edgepress", package, ignore=only_code)
    (package / "quantization" / "clipped.py").write_text(block("python"))
    monkeypatch.setattr(methods, "_PACKAGE", package)
    places = [*edgepress.quantization.__path__, str(package / "quantization")]
    monkeypatch.setattr(edgepress.quantization, "__path__", places)
    monkeypatch.delitem(sys.modules, "edgepress.quantization.clipped", raising=False)
    loaded: dict[str, Any] = yaml.safe_load(block("yaml"))
    return loaded


def test_entry_holds_when_merged_as_the_page_says(library: dict[str, Any]) -> None:
    after = merge((ROOT / "params.yaml").read_text(), library, "presets/clipped.yaml")
    assert problems(yaml.safe_load(after), "params.yaml") == []


def test_method_clips_a_copy_when_called_as_the_stage_does(
    library: dict[str, Any], tmp_path: Path
) -> None:
    import torch
    from torch import nn

    from edgepress.data.images import ImageSet
    from edgepress.data.ingestion import Rules
    from edgepress.quantization.quantize_job import QuantizeJob
    from edgepress.records.bundle import Bundle
    from edgepress.records.inputs import InputSpec

    source = methods.resolve("data.sources", {"method": "digits"}, "here", "ingest.source")
    rules = Rules.model_validate({"split": {"val": 0.1, "test": 0.25}, "limit": 300})
    classified(source(tmp_path / "manifest"), tmp_path / "manifest", rules)
    images = ImageSet.open(tmp_path / "manifest", "train")
    spec = InputSpec(height=8, width=8, channels=1, mean=(0.3,), std=(0.35,))
    bundle = Bundle(
        task={"method": "classification"}, backbone={}, head={}, classes=images.classes,
        input=spec, parameters=1, macs=1, lineage={}, weights_sha256="0",
    )  # fmt: skip
    network = nn.Conv2d(1, 4, 3)
    before = network.weight.detach().clone()

    entry = {**library["quantize"]["clipped"], "images": 20, "deviations": 1.0}
    method = methods.resolve("quantization", entry, "params.yaml", "quantize.clipped")
    answer = method(QuantizeJob(network, bundle, images, seed=0))

    assert torch.equal(network.weight, before)
    widths = before.flatten(1).std(dim=1)
    largest = answer.network.weight.detach().flatten(1).abs().amax(dim=1)
    assert np.allclose(largest.numpy(), widths.numpy(), rtol=1e-5)
    assert answer.recipe.weights == "int8"
    assert len(answer.calibration.images) == 20
