"""D-FINE: it answers and learns as the transformers library's own network does, and is exported."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import DFineConfig, DFineForObjectDetection, HGNetV2Config

from edgepress.backbones.features import FeatureInfo
from edgepress.bundles import bundle
from edgepress.bundles.network import named
from edgepress.data.preprocess import normalise
from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.sections import problems
from edgepress.tasks.detection.codings.queries import BOXES, SCORES
from edgepress.tasks.task import Task, joined
from tests import scenes

TASK = scenes.TASKS["queries"]
NAMES = tuple(each.name for each in TASK.answers.outputs(scenes.SPEC))
HEAD: dict[str, Any] = {
    **{"method": "dfine", "strides": [2, 4], "width": 16, "heads": 2},
    **{"layers": 2, "blocks": 1, "expansion": 0.5},
}


@pytest.fixture(scope="module")
def fresh() -> nn.Module:
    """A network whose answers differ from place to place, as those of a learnt one do."""
    made = scenes.network(TASK, HEAD)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in made.head.parameters():  # type: ignore[union-attr]
            if values.requires_grad:
                values.add_(0.05 * torch.randn(values.shape, generator=generator))
    return made.eval()


CHANNELS = [8, 16, 24]
SPEC = InputSpec(height=64, width=96, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
THEIR_HEAD = {**HEAD, "strides": [8, 16, 32], "layers": 3, "blocks": 2, "expansion": 1.0}


@pytest.fixture(scope="module")
def pair() -> tuple[Any, nn.Module]:
    """The library's network with a backbone of its own, and our head with the same weights."""
    torch.manual_seed(0)
    backbone = HGNetV2Config(
        hidden_sizes=[8, *CHANNELS],
        out_indices=[2, 3, 4],
        embedding_size=8,
        stem_channels=(3, 8, 8),
        stage_in_channels=(8, 8, 8, 16),
        stage_mid_channels=(4, 4, 4, 4),
        stage_out_channels=(8, *CHANNELS),
        stage_num_blocks=(1, 1, 1, 1),
        stage_numb_of_layers=(1, 1, 1, 1),
    )
    wide = {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "d_model": 16, "encoder_hidden_dim": 16}
    config = DFineConfig(
        backbone_config=backbone,
        num_labels=3,
        num_queries=20,
        num_denoising=0,
        encoder_in_channels=CHANNELS,
        decoder_in_channels=[16, 16, 16],
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        decoder_layers=3,
        depth_mult=2 / 3,
        tie_word_embeddings=False,
        **wide,
    )
    theirs = DFineForObjectDetection(config)
    info = tuple(FeatureInfo(c, s) for c, s in zip(CHANNELS, (8, 16, 32), strict=True))
    method = resolve("heads", THEIR_HEAD, "test", "head")
    ours = method(info, TASK.learner.outputs(SPEC), SPEC)
    for values in theirs.parameters():
        if values.requires_grad:
            nn.init.normal_(values, std=0.2)
    weights = theirs.model.state_dict()
    ours.model.load_state_dict(
        {name: each for name, each in weights.items() if not name.startswith("backbone.")}
    )
    return theirs, ours


def maps(theirs: Any, images: torch.Tensor) -> list[torch.Tensor]:
    found: list[torch.Tensor] = theirs.model.backbone.model(images).feature_maps
    return found


def test_outputs_are_those_of_the_librarys_network_when_weights_are(
    pair: tuple[Any, nn.Module],
) -> None:
    theirs, ours = pair[0].eval(), pair[1].eval()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = theirs(images), named(ours(maps(theirs, images)), NAMES)
    assert set(found) == {BOXES, SCORES}
    assert float(found[BOXES].std()) > 0.05
    torch.testing.assert_close(found[BOXES], expected.pred_boxes, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[SCORES], expected.logits, atol=1e-5, rtol=1e-5)


def truth(*counts: int) -> dict[str, torch.Tensor]:
    """Return as many objects of each picture, in pixels of the input."""
    generator = torch.Generator().manual_seed(2)
    low = torch.rand(len(counts), 4, 2, generator=generator) * 40
    sides = 8 + torch.rand(len(counts), 4, 2, generator=generator) * 16
    there = torch.arange(4) < torch.tensor(counts)[:, None]
    kinds = torch.randint(3, (len(counts), 4), generator=generator, dtype=torch.int32)
    none = torch.zeros_like(there)
    boxes = torch.cat([low, low + sides], -1)
    return {
        "boxes": torch.where(there[..., None], boxes, 0.0),
        "category": torch.where(there, kinds, -1),
        "crowd": none,
        "ignore": none,
    }


@pytest.mark.parametrize("counts", [(4, 0, 2), (0, 0, 0)])
def test_loss_and_its_gradient_are_those_of_the_librarys_network_when_weights_are(
    pair: tuple[Any, nn.Module], counts: tuple[int, ...]
) -> None:
    theirs, ours = pair[0].train(), pair[1].train()
    theirs.zero_grad()
    ours.zero_grad()
    images = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    wanted, limit = truth(*counts), torch.tensor([96.0, 64.0])
    labels = []
    for boxes, kinds, count in zip(wanted["boxes"], wanted["category"], counts, strict=True):
        low, high = boxes[:count, :2] / limit, boxes[:count, 2:] / limit
        shares = torch.cat([(low + high) / 2, high - low], 1)
        labels.append({"class_labels": kinds[:count].long(), "boxes": shares})
    with torch.no_grad():
        features = maps(theirs, images)
    given = named(ours(features), NAMES)
    found = TASK.learner.loss(given, wanted)
    expected = theirs(images, labels=labels)
    torch.testing.assert_close(found["loss"], expected.loss, rtol=1e-4, atol=1e-5)
    parts = [found[name] for name in ("confidence_loss", "box_loss", "corner_loss")]
    torch.testing.assert_close(torch.stack(parts).sum(), found["loss"].detach())
    found["loss"].backward()  # type: ignore[no-untyped-call]
    expected.loss.backward()
    known = dict(theirs.model.named_parameters())
    for name, values in ours.model.named_parameters():  # type: ignore[union-attr]
        if values.grad is not None:
            torch.testing.assert_close(values.grad, known[name].grad, rtol=1e-2, atol=1e-3)


def test_loss_falls_when_four_pictures_are_learnt() -> None:
    made = scenes.network(TASK, HEAD).train()
    data = scenes.examples()[0]
    rows = np.arange(4)
    inputs = torch.from_numpy(normalise(data.pixels[rows], scenes.SPEC))
    optimizer = torch.optim.Adam(made.parameters(), 0.003)
    far = []
    for _ in range(12):
        ((_, truth),) = data.batches([rows])
        loss = TASK.learner.loss(named(made(inputs), NAMES), truth)
        optimizer.zero_grad()
        loss["loss"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        far.append(float(loss["loss"].detach()))
    assert far[-1] < 0.75 * far[0]
    untouched = [name for name, each in made.named_parameters() if each.grad is None]
    assert {name.rsplit(".", 1)[-1] for name in untouched} <= {"up", "reg_scale"}


def test_loss_is_not_finite_when_the_outputs_are_not() -> None:
    made = scenes.network(TASK, HEAD).train()
    data = scenes.examples()[0]
    given = named(made(torch.full((2, 1, 32, 32), torch.nan)), NAMES)
    ((_, truth),) = data.batches([np.arange(2)])
    found = TASK.learner.loss(given, truth)
    assert not any(bool(torch.isfinite(each)) for each in found.values())


def test_training_goes_on_when_the_first_answer_was_in_inference_mode() -> None:
    made = scenes.network(TASK, HEAD, InputSpec(**{**scenes.SPEC.model_dump(), "width": 28}))
    sized = torch.randn(2, 1, 32, 28)
    with torch.inference_mode():
        made.eval()(sized)
    made.train()(sized)[1].sum().backward()


def test_layers_that_stay_float_are_those_that_give_the_outputs(fresh: Any) -> None:
    layers = [fresh.get_submodule(name) for name in fresh.float_layers]
    assert [each.out_features for each in layers] == [4 * 33, 3, 1]
    given = []
    for layer in layers:
        layer.register_forward_hook(lambda *_: given.append(1))
    fresh(torch.zeros(1, 1, 32, 32))
    assert len(given) == 3


def test_network_comes_back_with_its_answers_when_stored(fresh: nn.Module, tmp_path: Path) -> None:
    draft = bundle.Draft(TASK, scenes.BACKBONE, HEAD, scenes.SPEC, {})
    record = bundle.save(tmp_path, fresh, draft)
    _, read = bundle.load(tmp_path)
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(fresh(image), read(image), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert record.parameters > 10_000


@pytest.mark.parametrize(
    ("runtime", "options"),
    [
        ("onnxruntime", {"method": "onnx", "opset": 18, "decoded": True}),
        ("openvino", {"method": "openvino"}),
    ],
)
def test_file_answers_as_the_network_when_exported(
    fresh: nn.Module, tmp_path: Path, runtime: str, options: dict[str, Any]
) -> None:
    job = scenes.job(TASK, copy.deepcopy(fresh), HEAD, tmp_path / "out", f"x86_64-{runtime}-fp32")
    job = replace(job, ending=TASK.ending(scenes.SPEC))
    exported = resolve("export", options, "test", "export")(job)
    opened = resolve("runtimes", {"method": runtime, "threads": 1}, "test", "runtime")
    session = opened(tmp_path / "out", exported)
    images = normalise(scenes.examples()[1].pixels[:16], scenes.SPEC)
    found: list[dict[str, Any]] = [session.run({"image": image[None]}) for image in images]
    with torch.inference_mode():
        raw = {n: v.numpy() for n, v in named(fresh(torch.from_numpy(images)), NAMES).items()}
    theirs = TASK.ordered(joined(found), raw)
    ends = {"boxes", "scores", "category", "count"} if "decoded" in options else set()
    assert set(theirs) == {*NAMES, *ends}
    assert all(np.allclose(theirs[name], raw[name], atol=1e-4) for name in NAMES)
    ours, floats = (TASK.answers.decode(each, scenes.SPEC) for each in (theirs, raw))
    assert (floats["category"] >= 0).any()
    assert TASK.answers.agreement(ours, floats).min() > 0.999


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"strides": [2, 8]}, r"train.head: .*strides must double.*got \[2, 8\]"),
        ({"strides": [4]}, r"train.head.strides: .*at least 2"),
        ({"width": 18}, "train.head.width: .*multiple of 4"),
        ({"heads": 3}, "width must be a multiple of heads, got 16, 3"),
        ({"layers": 1}, "train.head.layers: .*greater than or equal to 2"),
        ({"expansion": 0.01}, "expansion leaves no channel of a width of 16"),
        ({"depth": 1}, "train.head.depth: unknown key; known: method, strides"),
    ],
)
def test_params_are_refused_in_one_line(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        resolve("heads", {**HEAD, **changed}, "params.yaml", "train.head")
    assert "\n" not in str(refused.value)


ODD = InputSpec(**{**scenes.SPEC.model_dump(), "width": 30})
MANY = {**scenes.ENTRY, **scenes.QUERIES, "coding": {"method": "queries", "queries": 900}}


@pytest.mark.parametrize(
    ("task", "head", "spec", "words"),
    [
        (TASK, {"strides": [4, 8]}, scenes.SPEC, "no map of stride 8, its coarsest is 4; choose"),
        (TASK, {"strides": [8, 16]}, scenes.SPEC, "dfine: the backbone has no map of stride 8, it"),
        (TASK, {}, ODD, "input must be a multiple of 4 high and wide.*got 32 x 30"),
        (
            Task.open(MANY, scenes.CLASSES, "test"),
            {},
            scenes.SPEC,
            r"900 queries are more than the 320 places of the maps of strides \[2, 4\]; lower",
        ),
        (
            scenes.TASKS["distances"],
            {},
            scenes.SPEC,
            "head dfine: gives boxes and scores of queries, and the task asks for boxes_4",
        ),
    ],
)
def test_head_is_refused_in_one_line_when_it_cannot_be(
    task: Task, head: dict[str, Any], spec: InputSpec, words: str
) -> None:
    with pytest.raises(UserError, match=words) as refused:
        scenes.network(task, {**HEAD, **head}, spec)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("head", "task", "words"),
    [
        (HEAD, "distances", "head dfine: gives boxes and scores of queries"),
        ({"method": "decoupled", "width": 8, "depth": 1}, "queries", "head decoupled: gives maps"),
    ],
)
def test_pair_of_head_and_coding_is_refused_when_params_are_checked(
    head: dict[str, Any], task: str, words: str
) -> None:
    train = {"backbone": scenes.BACKBONE, "head": head}
    tree = {"task": scenes.TASKS[task].entry, "input": scenes.SPEC.model_dump(), "train": train}
    tree["input"].update(mean=[0.3], std=[0.35])
    found = [line for line in problems(tree, "params.yaml") if "the task asks for" in line]
    assert len(found) == 1
    assert found[0].startswith(f"params.yaml: train.head: {words}")


@pytest.mark.parametrize(
    "head", [{"method": "decoupled", "width": 8, "depth": 1}, {"method": "ssdlite", "width": 16}]
)
def test_heads_that_give_maps_are_refused_when_queries_are_asked_for(head: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="gives maps, and the task asks for boxes_queries"):
        scenes.network(TASK, head)
