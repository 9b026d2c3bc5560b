"""Training in a process of its own by a network and weights of the user's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from edgepress.records.bundle import Bundle
from edgepress.records.record import sha256_file
from tests.parts import PARTS
from tests.stages.conftest import INPUT, PARAMS, write_data

ROOT = Path(__file__).parents[2]
NET = """
import importlib
from torch import nn
from . import parts

def net(width, computed):
    if computed:
        importlib.import_module(".".join(["nets", "hidden"]))
    return nn.Sequential(nn.Conv2d(1, width, 3), parts.Pooled())
"""
POOLED = """
from torch import nn

class Pooled(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "nets").mkdir()
    for name, text in {"net": NET, "parts": POOLED, "hidden": ""}.items():
        (tmp_path / "nets" / f"{name}.py").write_text(text)
    torch.save({"0.weight": torch.ones(4, 1, 3, 3), "0.bias": torch.ones(4)}, tmp_path / "w.pth")
    write_data(tmp_path)
    return tmp_path


def train(project: Path, computed: bool) -> subprocess.CompletedProcess[str]:
    arguments = {"width": 4, "computed": computed}
    recipe = {
        "method": "supervised", "epochs": 1, "batch": 8, "learning_rate": 1e-9,
        "weight_decay": 0.0, "label_smoothing": 0.0, "augment": "none", "precision": "fp32",
        **PARTS,
    }  # fmt: skip
    section: dict[str, Any] = {
        "backbone": {"method": "module", "entry": "nets.net:net", "arguments": arguments},
        "head": {"method": "linear"},
        "weights": {"path": "w.pth"},
        "recipe": recipe,
    }
    tree = {**PARAMS, "input": INPUT, "precisions": [], "train": section}
    tree.update(distill={"recipe": {}}, slim={})
    (project / "params.yaml").write_text(yaml.safe_dump(tree))
    return subprocess.run(
        [sys.executable, "-m", "stages.train"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_bundle_says_which_weights_the_users_network_started_from(project: Path) -> None:
    done = train(project, computed=False)
    assert done.returncode == 0, done.stderr
    assert "train: weights w.pth: 2 of 2 tensors of the backbone by name; left fresh: head.fc" in (
        done.stderr
    )
    bundle = Bundle.read(project / "models/teacher")
    assert bundle.lineage["weights"] == sha256_file(project / "w.pth")
    assert bundle.backbone["entry"] == "nets.net:net"
    assert json.loads((project / "metrics/train.json").read_text())["epochs"] == 1


def test_training_is_refused_before_it_starts_when_a_file_is_imported_under_a_computed_name(
    project: Path,
) -> None:
    done = train(project, computed=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "train: nets.hidden of this folder was imported under a computed name, so that no change "
        "of it would be seen; import it by name in the file of backbone.entry"
    )
    assert not (project / "models").exists()
