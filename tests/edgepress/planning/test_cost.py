from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from edgepress.params import read_yaml
from edgepress.planning.cost import Costs, Past

ROOT = Path(__file__).parents[3]
INGESTED = {"splits": {"train": 1200, "val": 180, "test": 417}, "cost": {"seconds": 3.0}}
TRAINED = {"train_images": 1080, "cost": {"seconds": 40.0}}


@pytest.fixture
def params() -> dict[str, Any]:
    loaded = read_yaml(ROOT / "params.yaml")
    loaded["train"]["backbone"] = {"method": "resnet_cifar", "depth": 8, "width": 4}
    return loaded


def past(folder: Path, params: dict[str, Any], **numbers: Any) -> Past:
    for name, each in numbers.items():
        (folder / f"{name}.json").write_text(json.dumps(each))
    then = {key: copy.deepcopy(params[key]) for key in ("input", "task", "train")}
    return Past(folder, {"stages": {"train": {"params": {"params.yaml": then}}}})


def test_cost_is_that_of_the_last_run_when_nothing_of_it_changed(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    costs = Costs(params, past(tmp_path, params, ingest=INGESTED, train=TRAINED))
    assert (costs.of("train").seconds, costs.of("train").basis) == (40.0, "last run")
    assert costs.of("ingest").seconds == 3.0


def test_cost_grows_with_epochs_and_images_when_they_do(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    before = past(tmp_path, params, ingest=INGESTED, train=TRAINED)
    params["train"]["recipe"]["epochs"] *= 2
    params["curate"]["keep"] = 0.45
    found = Costs(params, before).of("train")
    assert found.seconds == pytest.approx(40.0)
    params["curate"]["keep"] = 0.9
    found = Costs(params, before).of("train")
    assert (found.seconds, found.basis) == (pytest.approx(80.0), "last run, 2 times the work")


def test_cost_is_counted_and_timed_when_the_network_is_another(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    before = past(tmp_path, params, ingest=INGESTED, train=TRAINED)
    params["train"]["backbone"]["width"] = 8
    for stage in ("embed", "distill", "slim"):
        (tmp_path / f"{stage}.json").write_text(json.dumps(TRAINED))
    costs = Costs(params, before)
    costs.count()
    assert list(costs._counted) == ["train"]
    found = costs.of("train")
    assert found.seconds is not None
    assert found.seconds > 0
    assert "MAC of 10 epochs counted" in found.basis


def test_cost_waits_for_ingest_when_only_it_can_count_the_images(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    params["ingest"]["source"] = {"method": "webdataset", "path": str(tmp_path)}
    costs = Costs(params, Past(tmp_path, {}))
    costs.count()
    assert costs.of("train").seconds is None
    assert costs.of("judge").basis == "typical"


def test_cost_counts_no_epoch_when_a_method_learns_nothing(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    params["slim"] = {"method": "none"}
    assert Costs(params, Past(tmp_path, {})).of("slim").basis == "typical"
