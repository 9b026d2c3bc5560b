from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Rules
from edgepress.data.splits import Fractions
from edgepress.methods import resolve
from edgepress.records.embeddings import Embeddings
from edgepress.records.selection import Selection
from stages import curate
from stages.stage import Stage, main
from tests.classified import classified

CURATE = {
    "method": "concept_complexity", "keep": 0.5, "concepts": 8, "passes": 2, "neighbours": 5,
    "temperature": 0.5, "floor": 1, "class_floor": 3, "deduplicate": 0.999,
    "duplicate_kept": "farthest", "order": "hard",
}  # fmt: skip
CHECK = {
    "min_side": 8,
    "max_side": 64,
    "channels": [1],
    "min_per_class": {"train": 3, "val": 1, "test": 1},
    "max_quarantined": 0.1,
    "max_class_imbalance": 10.0,
    "near_duplicate_bits": 0,
}
MANIFEST = Path("data/manifest")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a maker of a project folder: digits in a manifest, their pixels as embeddings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stages.curate"])

    def make(splits: tuple[str, ...] = ("train",), **changes: Any) -> None:
        settings = {"seed": 0, "check": CHECK, "curate": {**CURATE, **changes}}
        Path("params.yaml").write_text(yaml.safe_dump(settings))
        MANIFEST.mkdir(parents=True)
        digits = resolve("data.sources", {"method": "digits"}, "test", "source")
        rules = Rules(split=Fractions(val=0.1, test=0.25), limit=200)
        classified(digits(MANIFEST), MANIFEST, rules)
        ids, vectors = [], []
        for split in splits:
            images = ImageSet.open(MANIFEST, split)
            rng = np.random.default_rng(len(images))
            base = rng.standard_normal((10, 8)) * 2
            ids += images.ids
            vectors.append(base[images.strata] + rng.standard_normal((len(images), 8)))
        matrix = np.concatenate(vectors).astype(np.float32)
        Embeddings.create(
            Path("data/embeddings"), matrix, ids, encoder="pixels", encoder_sha256="0" * 64
        )

    return make


def _selected() -> tuple[Selection, list[str]]:
    selection = Selection.read(Path("data/selection"))
    return selection, selection.kept_ids(Path("data/selection"))


def test_stage_keeps_exactly_the_budget_and_every_class(project: Callable[..., None]) -> None:
    project()
    main("curate", curate.work)
    selection, kept = _selected()
    images = ImageSet.open(MANIFEST, "train")
    assert selection.rows == len(images)
    assert len(kept) == selection.budget == round(len(images) / 2 + 1e-9)
    metrics = json.loads(Path("metrics/curate.json").read_text())
    assert metrics["kept"] == selection.budget
    assert sum(metrics["kept_per_class"].values()) == selection.budget
    assert min(metrics["kept_per_class"].values()) >= 3
    assert not Path(".edgepress/curate").exists()


def test_stage_prunes_train_alone_when_embeddings_hold_every_split(
    project: Callable[..., None],
) -> None:
    project(("test", "train", "val"))
    main("curate", curate.work)
    selection, kept = _selected()
    train = set(ImageSet.open(MANIFEST, "train").ids)
    assert selection.rows == len(train)
    assert set(kept) < train


def test_stage_refuses_and_keeps_the_earlier_output_when_parameters_are_bad(
    project: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    project()
    main("curate", curate.work)
    before = Path("data/selection/selection.parquet").read_bytes()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"keep": 0.0}, "curate.keep: Input should be greater than 0"),
        ({"keep": 1.5}, "curate.keep: Input should be less than or equal to 1"),
        ({"concepts": 10_000}, "concepts: 10000 asked for, but there are"),
        ({"floor": 90}, "below the floors"),
        ({"method": "concept_complexty"}, "did you mean concept_complexity?"),
    ]
    for bad, clause in cases:
        settings = {"seed": 0, "check": CHECK, "curate": {**CURATE, **bad}}
        Path("params.yaml").write_text(yaml.safe_dump(settings))
        with pytest.raises(SystemExit) as exit_:
            main("curate", curate.work)
        assert exit_.value.code == 2
        assert clause in capsys.readouterr().err
    assert Path("data/selection/selection.parquet").read_bytes() == before
    assert sorted(path.name for path in Path("data").iterdir()) == [
        "embeddings", "manifest", "selection",
    ]  # fmt: skip


def test_stage_refuses_when_a_training_image_has_no_vector(
    project: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    project(("val", "test"))
    with pytest.raises(SystemExit):
        main("curate", curate.work)
    assert "ids have no vector" in capsys.readouterr().err


def test_stage_gives_the_same_bytes_when_run_twice(project: Callable[..., None]) -> None:
    project()
    curate.work(Stage("curate"))
    first = Path("data/selection/selection.parquet").read_bytes()
    curate.work(Stage("curate"))
    assert Path("data/selection/selection.parquet").read_bytes() == first


def test_stage_refuses_when_a_class_would_fall_below_what_the_check_asks_for(
    project: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    project(class_floor=0)
    tree = yaml.safe_load(Path("params.yaml").read_text())
    counts = np.bincount(ImageSet.open(MANIFEST, "train").strata)
    tree["check"]["min_per_class"]["train"] = int(counts.min())
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(SystemExit, match="2"):
        main("curate", curate.work)
    said = capsys.readouterr().err
    assert "check.min_per_class.train asks for" in said
    assert "set curate.class_floor" in said
    assert not Path("data/selection").exists()
