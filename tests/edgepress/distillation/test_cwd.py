from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgepress.backbones.features import FeatureInfo
from edgepress.bundles import bundle
from edgepress.bundles.network import Blueprint, Network, build
from edgepress.distillation import cwd
from edgepress.distillation.teacher import Teacher
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.checkpoint import Checkpoint
from edgepress.training.examples import Examples
from edgepress.training.loop import Job
from tests.classified import network as classifier
from tests.classified import open_task
from tests.parts import PARTS

SPEC = InputSpec(height=16, width=16, channels=1, mean=(0.5,), std=(0.25,))
TASK = Task.open(
    {"method": "segmentation", "ignore_index": None, "argmax": True}, ("dark", "bright"), "test"
)
RECIPE: dict[str, Any] = {
    "method": "cwd",
    "epochs": 2,
    "batch": 8,
    "learning_rate": 0.02,
    "weight_decay": 0.0,
    **PARTS,
    "temperature": 2.0,
    "weight": 1.0,
    "augment": "shift",
    "precision": "fp32",
}


def _network(width: int, seed: int, task: Task = TASK, head: str = "unet") -> Network:
    torch.manual_seed(seed)
    backbone = {"method": "resnet_cifar", "depth": 8, "width": width}
    entry: dict[str, Any] = {"method": head, "width": 8}
    entry |= {"depth": 1} if head == "decoupled" else {}
    return build(Blueprint(backbone, entry, SPEC, task.learner.outputs(SPEC)))


@pytest.fixture(scope="module")
def examples() -> Examples:
    """24 noisy pictures of one bright square each, with their masks."""
    draws = np.random.default_rng(0)
    mask = np.zeros((24, 16, 16), np.uint8)
    for each in mask:
        top, left = draws.integers(0, 8, 2)
        each[top : top + 8, left : left + 8] = 1
    pixels = mask * 120 + draws.integers(0, 100, mask.shape)
    return Examples(pixels[..., None].astype(np.uint8), {"mask": mask}, SPEC)


def _teacher(cache: Path) -> Teacher:
    return Teacher(_network(12, 1), "a" * 64, cache)


def _distill(job: Job, teacher: Teacher, **changes: object) -> list[dict[str, float]]:
    method = resolve("distillation", {**RECIPE, **changes}, "params.yaml", "distill.recipe")
    return method(job, teacher)  # type: ignore[no-any-return]


def test_divergence_matches_the_papers_formula_when_computed_by_hand() -> None:
    draws = np.random.default_rng(0)
    student, teacher = draws.normal(size=(2, 2, 3, 4, 5))
    terms = []
    for image in range(2):
        for channel in range(3):
            p = np.exp(teacher[image, channel].ravel() / 2)
            q = np.exp(student[image, channel].ravel() / 2)
            p, q = p / p.sum(), q / q.sum()
            terms.append((p * np.log(p / q)).sum())
    found = cwd.divergence(torch.from_numpy(student), torch.from_numpy(teacher), 2.0)
    assert float(found) == pytest.approx(4 * np.mean(terms), rel=1e-5)


def test_divergence_is_none_when_maps_are_alike_but_for_a_constant() -> None:
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert float(cwd.divergence(maps, maps, 1.0)) == 0
    assert float(cwd.divergence(maps + 3, maps, 1.0)) == pytest.approx(0, abs=1e-6)


def test_divergence_resizes_the_students_map_when_strides_differ() -> None:
    slope = torch.arange(8.0).expand(1, 1, 8, 8)
    halved = slope.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    assert float(cwd.divergence(slope, halved, 1.0)) == pytest.approx(0, abs=1e-6)
    assert float(cwd.divergence(slope, halved.flip(3), 1.0)) > 1


def test_pairs_are_the_nearest_in_stride_when_pyramids_differ() -> None:
    fine = tuple(FeatureInfo(8, stride) for stride in (1, 2, 4))
    deep = tuple(FeatureInfo(8, stride) for stride in (2, 4, 8, 16, 32))
    assert cwd.pairs(fine, fine) == ((0, 0), (1, 1), (2, 2))
    assert cwd.pairs(fine, deep) == ((1, 0), (2, 1))
    assert cwd.pairs(deep, fine) == ((0, 1), (1, 2))
    assert cwd.pairs(fine[:1], deep[3:]) == ((0, 0),)


def test_student_looks_where_its_teacher_does_when_distilled(
    examples: Examples, tmp_path: Path
) -> None:
    found = {}
    for weight in (0.0, 30.0):
        job = Job(_network(8, 2), examples, examples, 0, TASK)
        found[weight] = _distill(job, _teacher(tmp_path), epochs=12, weight=weight)[-1]
    assert found[30.0]["train_maps_loss"] < 0.6 * found[0.0]["train_maps_loss"]
    assert found[30.0]["val_mean_iou"] > 0.9
    assert not list(tmp_path.iterdir())


def test_weights_are_those_of_no_teacher_when_the_maps_do_not_count(
    examples: Examples, tmp_path: Path
) -> None:
    taught, alone = _network(8, 2), _network(8, 2)
    _distill(Job(taught, examples, None, 0, TASK), _teacher(tmp_path), weight=0.0)
    recipe = {name: RECIPE[name] for name in RECIPE if name not in ("temperature", "weight")}
    recipe |= {"method": "supervised", "label_smoothing": 0.0}
    resolve("training", recipe, "params.yaml", "r")(Job(alone, examples, None, 0, TASK))
    assert _alike(taught.state_dict(), alone.state_dict())


@pytest.mark.usefixtures("checkpoints_each_step")
def test_weights_are_the_same_when_killed_and_resumed(examples: Examples, tmp_path: Path) -> None:
    whole, killed, resumed = (_network(8, 2) for _ in range(3))
    expected = _distill(Job(whole, examples, examples, 0, TASK), _teacher(tmp_path))

    def kill(what: str, done: int, total: int, note: str = "") -> None:
        if done == 4:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        _distill(Job(killed, examples, examples, 0, TASK, checkpoint, kill), _teacher(tmp_path))
    torch.rand(3)  # whatever else the new process has drawn
    again = Job(resumed, examples, examples, 0, TASK, checkpoint)
    assert _distill(again, _teacher(tmp_path)) == expected
    assert _alike(whole.state_dict(), resumed.state_dict())


def test_bundle_holds_no_adapters_when_the_student_is_saved(
    examples: Examples, tmp_path: Path
) -> None:
    student = _network(8, 2)
    before = list(student.state_dict())
    _distill(Job(student, examples, None, 0, TASK), _teacher(tmp_path), epochs=1)
    backbone = {"method": "resnet_cifar", "depth": 8, "width": 8}
    draft = bundle.Draft(TASK, backbone, {"method": "unet", "width": 8}, SPEC, {})
    bundle.save(tmp_path, student.to(memory_format=torch.contiguous_format), draft)
    assert list(bundle.load(tmp_path)[1].state_dict()) == before


@pytest.mark.parametrize("entry", ["detection", "keypoints"])
def test_student_is_taught_when_the_task_has_another_dense_head(entry: str, tmp_path: Path) -> None:
    task, head, truth = OTHERS[entry]
    pixels = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 1), dtype=np.uint8)
    examples = Examples(pixels, truth, SPEC)
    teacher = Teacher(_network(12, 1, task, head), "a" * 64, tmp_path)
    job = Job(_network(8, 2, task, head), examples, None, 0, task)
    history = _distill(job, teacher, augment="none", epochs=8, weight=30.0)
    assert history[-1]["train_maps_loss"] < history[0]["train_maps_loss"]


def test_one_line_says_so_when_a_network_has_no_maps(examples: Examples, tmp_path: Path) -> None:
    backbone = {"method": "resnet_cifar", "depth": 8, "width": 8}
    pooled = classifier(SPEC, 2, backbone)
    labelled = Examples(examples.pixels, {"label": np.zeros(24, np.int64)}, SPEC)
    with pytest.raises(UserError, match="cwd needs feature maps, and the student's .*use logits"):
        _distill(
            Job(pooled, labelled, None, 0, open_task(("a", "b"))), Teacher(pooled, "a", tmp_path)
        )


def _alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one) and one.keys() == other.keys()


OTHERS: dict[str, tuple[Task, str, dict[str, Any]]] = {
    "detection": (
        Task.open(
            {
                "method": "detection",
                "strides": [2, 4],
                "most_objects": 2,
                "most_answers": 4,
                "least_score": 0.05,
                "overlap": 0.6,
                "sure": 0.4,
            },
            ("thing",),
            "test",
        ),
        "decoupled",
        {
            "boxes": np.tile(np.array([[[2, 2, 10, 12]]], np.float32), (8, 1, 1)),
            "category": np.zeros((8, 1), np.int64),
            "crowd": np.zeros((8, 1), bool),
            "ignore": np.zeros((8, 1), bool),
        },
    ),
    "keypoints": (
        Task.open(
            {
                "method": "keypoints",
                "points": ["nose", "tail"],
                "swaps": [],
                "sigmas": 0.1,
                "tolerance": 0.1,
                "sure": 0.3,
                "form": "heatmap",
                "stride": 2,
                "blur": 1.0,
            },
            ("mouse",),
            "test",
        ),
        "heatmap",
        {
            "points": np.tile(np.array([[[3, 4], [11, 12]]], np.float32), (8, 1, 1)),
            "visible": np.full((8, 2), 2, np.int8),
        },
    ),
}
