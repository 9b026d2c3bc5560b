from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgepress.params import read_yaml
from edgepress.planning.work import epochs, measured

ROOT = Path(__file__).parents[3]


@pytest.fixture
def params() -> dict[str, Any]:
    return read_yaml(ROOT / "params.yaml")


def test_epochs_are_read_where_each_stage_has_them(params: dict[str, Any]) -> None:
    found = {stage: epochs(params, stage) for stage in ("embed", "train", "distill", "slim")}
    assert found == {"embed": 3, "train": 10, "distill": 20, "slim": 10}
    assert epochs({"slim": {"method": "none"}}, "slim") == 0


def test_work_has_the_teachers_pass_when_it_answers_live(params: dict[str, Any]) -> None:
    params["train"]["backbone"].update(depth=8, width=4)
    params["distill"]["backbone"].update(depth=8, width=4)
    kept = measured(params, "distill", "p")
    params["distill"]["recipe"]["augment"] = "shift"
    live = measured(params, "distill", "p")
    assert live.macs * 3 == kept.macs * 4
    assert min(kept.images_per_s, live.images_per_s) > 0


def test_work_counts_every_way_up_when_the_encoder_learns_rotations(params: dict[str, Any]) -> None:
    params["embed"]["width"] = 4
    one = measured(params, "embed", "p").macs
    params["input"].update(height=32, width=32)
    assert measured(params, "embed", "p").macs == pytest.approx(4 * one, rel=0.01)
