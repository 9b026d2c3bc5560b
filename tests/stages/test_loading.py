"""Images for training: the same from memory maps and streamed, whatever the number of threads."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from edgepress.data import row_groups
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.memory_map import mapped
from edgepress.data.parallel import THREADS
from edgepress.data.splits import Fractions
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.progress import silent
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training import streamed, windows
from edgepress.training.checkpoint import Checkpoint
from edgepress.training.examples import Dataset, Examples
from edgepress.training.loop import Job
from edgepress.training.streamed import Streamed
from stages import decoded, loading
from stages.decoded import CACHE, Wanted
from stages.places import DECODED, MANIFEST
from stages.stage import Stage
from tests.classified import network
from tests.parts import PARTS

INPUT = {"height": 12, "width": 12, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3}
MASKS = {
    "method": "masks",
    "path": "images",
    "masks": "masks",
    "classes": ["background", "thing"],
    "above_zero": True,
}
TASKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "classification": (
        {"method": "classification"},
        {"method": "folder", "path": "images"},
    ),
    "segmentation": (
        {"method": "segmentation", "ignore_index": None, "argmax": False},
        MASKS,
    ),
}
COUNT = 40
RECIPE = {
    "method": "supervised", "epochs": 2, "batch": 12, "learning_rate": 0.1, "weight_decay": 0.0,
    "label_smoothing": 0.0, "augment": "shift", "precision": "fp32", **PARTS,
}  # fmt: skip


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty pictures of two classes, each with a mask."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for row in range(COUNT):
        for kind, pixels in (
            ("images", rng.integers(0, 256, (9 + row % 3, 14, 3), np.uint8)),
            ("masks", rng.integers(0, 2, (9 + row % 3, 14), np.uint8) * 255),
        ):
            path = Path(kind) / "ab"[row % 2] / f"{row:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def wanted(name: str, source: dict[str, Any] | None = None) -> Wanted:
    """Ingest the pictures for a task."""
    entry, given = TASKS[name]
    Path("params.yaml").write_text(yaml.safe_dump({"seed": 0, "task": entry, "input": INPUT}))
    MANIFEST.mkdir(parents=True)
    listing = resolve("data.sources", source or given, "test", "source")(MANIFEST)
    task = Task.open(entry, listing.classes, "test")
    rules = Rules(split=Fractions(val=0.1, test=0.1), limit=None)
    build_manifest(listing, MANIFEST, rules, Labelling(task.entry, task.labels))
    return Wanted("train", ImageSet.open(MANIFEST), task)


def opened(asked: Wanted, mode: str, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv(CACHE, mode)
    return loading.examples(Stage("train"), asked, silent)


def drawn(data: Dataset) -> Iterator[torch.Tensor]:
    """Yield images and truths of batches of several sizes in no order, some rows twice."""
    rng = np.random.default_rng(1)
    for images, truth in data.batches([rng.integers(0, COUNT, size) for size in (9, 1, 23, 4, 9)]):
        yield images
        yield from (truth[name] for name in sorted(truth))


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_batches_are_the_same_streamed_and_mapped_whatever_the_threads(
    name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: set(range(threads)))  # noqa: ARG005
    asked = wanted(name)
    map_, stream = (opened(asked, mode, monkeypatch) for mode in ("memory_map", "none"))
    assert isinstance(map_, Examples)
    assert isinstance(map_.pixels, np.memmap)
    assert isinstance(stream, Streamed)
    assert map_.digest() == stream.digest()
    for one, other in zip(drawn(map_), drawn(stream), strict=True):
        assert torch.equal(one, other)
    for held, values in asked.images.truth(asked.task.labels, map_.spec).items():
        np.testing.assert_array_equal(map_.truth[held], values)
        np.testing.assert_array_equal(stream.truth[held], values)


def test_weights_are_the_same_streamed_and_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = wanted("classification")
    learnt = []
    recipe = resolve("training", RECIPE, "test", "recipe")
    for mode in ("memory_map", "none"):
        torch.manual_seed(0)
        data = opened(asked, mode, monkeypatch)
        made = network(data.spec, 2, {"method": "resnet_cifar", "depth": 8, "width": 4})
        history = recipe(Job(made, data, data, 0, asked.task))
        learnt.append((json.dumps(history), made.state_dict()))
    (told, weights), (again, others) = learnt
    assert told == again
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_nothing_is_decoded_again_by_the_next_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = wanted("segmentation")
    first = opened(asked, "auto", monkeypatch)
    assert isinstance(first, Examples)
    monkeypatch.setattr(ImageSet, "decoded", None)
    again = loading.examples(Stage("distill"), asked, silent)
    assert again.digest() == first.digest()
    assert (again.truth["mask"] == first.truth["mask"]).all()


def test_pictures_are_read_from_the_map_when_a_stage_asks_for_them_as_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = wanted("segmentation")
    spec = InputSpec.model_validate(INPUT)
    plain = list(asked.images.batches(spec, 7))
    monkeypatch.setenv(CACHE, "memory_map")
    found = decoded.shared(Stage("validate", "x86_64-openvino-int8"), asked, spec, silent)
    shutil.rmtree("images")
    for ours, theirs in zip(found.batches(spec, 7), plain, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    smaller = spec.model_copy(update={"height": 6})
    with pytest.raises(UserError, match="changed since ingest"):
        next(found.batches(smaller, 7))
    assert found.ids == asked.images.ids


def test_key_is_another_when_a_label_or_the_input_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = wanted("classification")
    keys = {opened(asked, "none", monkeypatch).digest()}
    shutil.rmtree(MANIFEST)
    Path("images/a/00.png").rename("images/b/00.png")
    asked = wanted("classification")
    keys.add(opened(asked, "none", monkeypatch).digest())
    params = {"seed": 0, "task": asked.task.entry, "input": {**INPUT, "fit": "letterbox"}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    keys.add(opened(asked, "none", monkeypatch).digest())
    assert len(keys) == 3


def test_images_are_streamed_when_they_would_fill_the_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = wanted("classification")
    size = COUNT * (12 * 12 * 3 + 8)
    monkeypatch.setattr(decoded.shutil, "disk_usage", lambda path: Free(2 * size - 1))  # noqa: ARG005
    assert isinstance(opened(asked, "auto", monkeypatch), Streamed)
    assert list(DECODED.iterdir()) == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train: no memory map of the train images in .edgepress/decoded: 0 MB")
    assert line.endswith("they are decoded anew each time")
    monkeypatch.setattr(decoded.shutil, "disk_usage", lambda path: Free(2 * size))  # noqa: ARG005
    assert isinstance(opened(asked, "auto", monkeypatch), Examples)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 8 kB, as on a disk that is full: half of the pixels."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_images_are_streamed_when_the_disk_fills_while_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = wanted("classification")
    assert isinstance(opened(asked, "auto", monkeypatch), Streamed)
    assert "the disk took less than its 0 MB; they are decoded anew" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"make room, or set EDGEPRESS_CACHE=none") as refused:
        opened(asked, "memory_map", monkeypatch)
    assert "\n" not in str(refused.value)
    assert [path for path in DECODED.iterdir() if path.is_dir()] == []


class Free:
    """What shutil.disk_usage says."""

    def __init__(self, free: int) -> None:
        self.free = free


def test_mode_is_refused_in_one_line_when_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = wanted("classification")
    with pytest.raises(UserError, match=r"EDGEPRESS_CACHE: 'memorymap' is not one of .*memory_map"):
        opened(asked, "memorymap", monkeypatch)


@pytest.fixture
def parquet() -> dict[str, Any]:
    """The pictures as rows of two Parquet files, in row groups of five."""
    files = sorted(Path("images").rglob("*.png"), key=lambda path: path.name)
    for number in range(2):
        some = files[number::2]
        rows = {"image": [path.read_bytes() for path in some], "label": [number] * len(some)}
        Path("rows").mkdir(exist_ok=True)
        pq.write_table(pa.table(rows), f"rows/train-{number}.parquet", row_group_size=5)
    return {"method": "parquet", "path": "rows", "image": "image", "label": "label"}


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_weights_are_the_same_streamed_from_row_groups_and_mapped_whatever_the_threads(
    threads: int, parquet: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(THREADS, str(threads))
    for module in (row_groups, windows, loading):
        monkeypatch.setattr(module, "HELD", 12_000)  # of 8 groups of about 2 kB: five are held
    asked = wanted("classification", parquet)
    assert {each for each in np.bincount(asked.images.stored().group).tolist()} <= {1, 2, 3, 4, 5}
    learnt = []
    for mode in ("memory_map", "none"):
        torch.manual_seed(0)
        data = opened(asked, mode, monkeypatch)
        assert isinstance(data, Streamed if mode == "none" else Examples)
        made = network(data.spec, 2, {"method": "resnet_cifar", "depth": 8, "width": 4})
        resolve("training", RECIPE, "test", "recipe")(Job(made, data, data, 0, asked.task))
        learnt.append(made.state_dict())
    assert all(torch.equal(learnt[0][name], learnt[1][name]) for name in learnt[0])


def test_row_groups_are_refused_when_not_one_may_be_held(
    parquet: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted("classification", parquet)
    monkeypatch.setattr(loading, "HELD", 100)
    with pytest.raises(UserError, match=r"in groups of up to 0 MB.* in smaller row groups") as no:
        opened(asked, "none", monkeypatch)
    assert "\n" not in str(no.value)
    assert isinstance(opened(asked, "memory_map", monkeypatch), Examples)


def test_file_of_rows_is_named_when_it_is_gone(
    parquet: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted("classification", parquet)
    data = opened(asked, "none", monkeypatch)
    Path("rows/train-1.parquet").unlink()
    with pytest.raises(UserError, match=r"image train-1.parquet:\d+: changed since ingest: cannot"):
        list(data.batches([np.arange(COUNT)]))
    with pytest.raises(UserError, match=r"its images: cannot be read: .*train-1.parquet"):
        ImageSet.open(MANIFEST).stored()


def test_picture_that_is_gone_is_named_when_its_batch_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = wanted("classification")
    data = opened(asked, "none", monkeypatch)
    Path("images", asked.images.ids[5]).unlink()
    with pytest.raises(UserError, match=f"image {asked.images.ids[5]}: changed since ingest"):
        list(data.batches([np.arange(3), np.arange(3, 9)]))


@pytest.mark.usefixtures("checkpoints_each_step")
def test_run_goes_on_to_the_same_weights_when_a_picture_that_went_mid_epoch_is_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = wanted("classification")
    monkeypatch.setattr(streamed, "AHEAD", 1)  # else all forty are read before the first step
    monkeypatch.setenv(THREADS, "1")
    data = opened(asked, "none", monkeypatch)
    order = np.random.default_rng([0, 1]).permutation(COUNT)
    last = Path("images", asked.images.ids[order[31]])  # in the last whole batch of epoch 2
    kept, removed = last.read_bytes(), []

    def learnt(checkpoint: Checkpoint | None, *, remove: bool) -> Any:
        torch.manual_seed(0)
        made = network(data.spec, 2, {"method": "resnet_cifar", "depth": 8, "width": 4})

        def removing(what: str, done: int, total: int, note: str = "", /) -> None:
            if remove and done == 6:
                last.unlink()
                removed.append((what, total))

        recipe(Job(made, data, data, 0, asked.task, checkpoint, removing))
        return made.state_dict()

    recipe = resolve("training", {**RECIPE, "batch": 8}, "test", "recipe")
    expected = learnt(None, remove=False)
    checkpoint = Checkpoint(tmp_path / "checkpoint")
    with pytest.raises(UserError, match=f"image .*{last.name}: .* put it back") as refused:
        learnt(checkpoint, remove=True)
    assert "\n" not in str(refused.value)
    assert removed == [("training", 10)]
    last.write_bytes(kept[:-1] + b"x")
    with pytest.raises(UserError, match=f"{last.name}: .* its bytes are not those of the manifest"):
        learnt(checkpoint, remove=False)
    last.write_bytes(kept)
    again = learnt(checkpoint, remove=False)
    assert all(torch.equal(expected[name], again[name]) for name in expected)


def test_map_is_finished_when_its_making_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = wanted("segmentation")
    whole = asked.images.pixels(opened(asked, "none", monkeypatch).spec)

    def killed(*given: Any) -> Any:
        def rows(start: int) -> Iterator[Any]:
            for done, row in enumerate(given[2](start)):
                if done == 21:
                    raise KeyboardInterrupt
                yield row

        return mapped(given[0], given[1], rows)

    with monkeypatch.context() as patched:
        patched.setattr(decoded, "mapped", killed)
        with pytest.raises(KeyboardInterrupt):
            opened(asked, "memory_map", monkeypatch)
    data = opened(asked, "memory_map", monkeypatch)
    assert isinstance(data, Examples)
    np.testing.assert_array_equal(data.pixels, whole)
