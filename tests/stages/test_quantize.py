from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml

from edgepress.bundles import bundle
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.splits import Fractions
from edgepress.methods import resolve
from edgepress.records.calibration import Calibration
from edgepress.records.inputs import InputSpec
from edgepress.records.quantized import Quantized
from edgepress.records.record import sha256_folder
from edgepress.records.reference import Reference
from edgepress.records.selection import Concept, Selection, schema
from stages import quantize
from stages.stage import main
from tests.classified import classified, network, open_task

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.3,), std=(0.35,))
BACKBONE = {"method": "resnet_cifar", "depth": 8, "width": 8}
PARAMS: dict[str, Any] = {
    "seed": 0,
    "task": {"method": "classification"},
    "quantize": {
        "fp32": {"method": "none"},
        "int8": {"method": "ptq", "images": 20, "per_channel": True},
    },
}


@pytest.fixture(scope="module")
def slimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a run leaves after slim: manifest, selection of two in three, a network."""
    root = tmp_path_factory.mktemp("slimmed")
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    source = resolve("data.sources", {"method": "digits"}, "test", "source")
    rules = Rules(split=Fractions(val=0.1, test=0.3), limit=150)
    classified(source(root / "data/manifest"), root / "data/manifest", rules)
    select(root)
    torch.manual_seed(0)
    draft = bundle.Draft(
        task=open_task(tuple("0123456789")),
        backbone=BACKBONE,
        head={"method": "linear"},
        input=SPEC,
        lineage={"stage": "slim"},
    )
    bundle.save(root / "models/slim", network(SPEC, 10, BACKBONE).eval(), draft)
    return root


def select(root: Path) -> None:
    ids = ImageSet.open(root / "data/manifest", "train").ids
    kept = [row % 3 > 0 for row in range(len(ids))]
    rows = [
        {"id": name, "concept": 0, "distance": None, "kept": keep, "reason": "test"}
        for name, keep in zip(ids, kept, strict=True)
    ]
    counts = {"size": len(ids), "quota": sum(kept), "kept": sum(kept), "duplicates": 0}
    unknown = dict.fromkeys(("d_intra", "d_inter", "complexity", "probability"))
    facts = {
        "method": "none",
        "params": {},
        "seed": 0,
        "rows": len(ids),
        "budget": sum(kept),
        "temperature": None,
        "order": None,
        "concepts": (Concept(index=0, **counts, **unknown),),
    }
    batch = pa.RecordBatch.from_pylist(rows, schema(pa.string()))
    Selection.save(root / "data/selection", [batch], facts)


@pytest.fixture
def root(slimmed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(slimmed, copy)
    monkeypatch.chdir(copy)
    return copy


def run(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setattr(sys, "argv", ["quantize", *keys])
    main("quantize", quantize.work, keyed=True)


def test_record_names_all_it_points_to_when_int8_is_prepared(root, monkeypatch):
    run(monkeypatch, "int8")
    folder = root / "models/quantized/int8"
    record = Quantized.read(folder)
    assert (record.precision, record.method) == ("int8", "ptq")
    assert record.recipe.weights == record.recipe.activations == "int8"
    assert record.bundle_sha256 == sha256_folder(folder / "bundle")
    assert record.calibration_sha256 == sha256_folder(folder / "calibration")
    assert record.reference_sha256 == sha256_folder(folder / "reference")
    metrics = json.loads((root / "metrics/quantize-int8.json").read_text())
    assert metrics["calibration_images"] == 20


def test_calibration_comes_from_kept_training_images_alone_when_prepared(root, monkeypatch):
    run(monkeypatch, "int8")
    record = Calibration.read(root / "models/quantized/int8/calibration")
    kept = Selection.read(root / "data/selection").kept_ids(root / "data/selection")
    assert len(record.ids) == 20
    assert set(record.ids) <= set(kept)
    images = np.load(root / "models/quantized/int8/calibration/images.npy", allow_pickle=False)
    chosen = ImageSet.open(root / "data/manifest", "train", record.ids)
    expected = np.stack(list(chosen.decoded(record.input)))
    np.testing.assert_array_equal(images, expected)


def test_reference_holds_the_networks_answers_on_the_whole_test_split(root, monkeypatch):
    run(monkeypatch, "fp32")
    folder = root / "models/quantized/fp32"
    assert Quantized.read(folder).calibration_sha256 is None
    assert not (folder / "calibration").exists()
    held = Reference.open(folder / "reference", "b" * 64)
    test = ImageSet.open(root / "data/manifest", "test")
    assert list(held.ids) == test.ids
    np.testing.assert_array_equal(held.truth["label"], test.strata)
    record, found = bundle.load(folder / "bundle")
    pixels = torch.from_numpy(np.concatenate(list(test.batches(record.input, 7))))
    with torch.inference_mode():
        expected = found(pixels).numpy()
    assert held.raw["logits"].dtype == np.float32
    np.testing.assert_allclose(held.raw["logits"], expected[list(held.rows)], atol=1e-5)


def test_bytes_are_the_same_when_the_stage_runs_twice(root, monkeypatch):
    digests = []
    for _ in range(2):
        run(monkeypatch, "int8")
        digests.append(sha256_folder(root / "models/quantized/int8"))
    assert digests[0] == digests[1]


def test_calibration_digest_changes_when_an_image_of_it_leaves_the_selection(root, monkeypatch):
    run(monkeypatch, "int8")
    before = Quantized.read(root / "models/quantized/int8")
    gone = Calibration.read(root / "models/quantized/int8/calibration").ids[0]
    kept_ids = Selection.kept_ids
    monkeypatch.setattr(
        Selection,
        "kept_ids",
        lambda self, folder: [name for name in kept_ids(self, folder) if name != gone],
    )
    run(monkeypatch, "int8")
    after = Quantized.read(root / "models/quantized/int8")
    assert after.calibration_sha256 != before.calibration_sha256
    assert after.bundle_sha256 == before.bundle_sha256
    assert after.reference_sha256 == before.reference_sha256


def test_bundle_is_the_slimmed_network_when_nothing_changes_it(root, monkeypatch):
    run(monkeypatch, "int8")
    slim, quantized = (
        bundle.load(root / path)[0] for path in ("models/slim", "models/quantized/int8/bundle")
    )
    assert quantized.weights_sha256 == slim.weights_sha256
    assert quantized.surgery == slim.surgery
    assert quantized.lineage["slim"] == sha256_folder(root / "models/slim")


@pytest.mark.parametrize(
    ("keys", "change", "message"),
    [
        (["int9"], {}, "'int9' is missing under quantize; there are fp32, int8 (did you mean"),
        ([], {}, "usage: python -m stages.quantize KEY"),
        (["int8"], {"method": "ptqq"}, "quantize.int8.method: 'ptqq' is not one of"),
        (["int8"], {"images": 5000}, "calibration: images: 5000 asked for, only "),
        (["int8"], {"images": -1}, "quantize.int8.images: Input should be greater than 0"),
    ],
)
def test_stage_ends_with_one_line_and_nothing_written_when_a_parameter_is_bad(
    root, monkeypatch, capsys, keys, change, message
):
    params = json.loads(json.dumps(PARAMS))
    params["quantize"]["int8"].update(change)
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, *keys)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(root.glob("models/quantized/*"))
    assert not list(root.glob("models/quantized/.*"))


@pytest.mark.parametrize("path", ["models/slim", "data/selection", "data/manifest"])
def test_stage_names_the_input_when_it_is_missing(root, monkeypatch, capsys, path):
    shutil.rmtree(root / path)
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "int8")
    assert f"quantize@int8: {path}" in capsys.readouterr().err
