"""Multi-label: scores against scikit-learn's and counts by hand, agreement, losses, labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from edgepress import intervals
from edgepress.data.images import ImageSet
from edgepress.data.ingestion import Labelling, Rules, build_manifest
from edgepress.data.labels import Seen
from edgepress.data.objects import OBJECTS
from edgepress.data.picture import UnusableError
from edgepress.data.splits import Fractions
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.records.measurement import Score
from edgepress.records.tensors import Arrays
from edgepress.tasks.multilabel.ranking import Draws, Ranked
from edgepress.tasks.task import Task

CLASSES = ("cat", "dog", "emu")
SPEC = InputSpec(height=8, width=8, channels=1, mean=(0.5,), std=(0.5,))
ENTRY: dict[str, Any] = {
    "method": "multilabel",
    "labels": "classes",
    "threshold": 0.5,
    "focus_positive": 0.0,
    "focus_negative": 0.0,
    "margin": 0.0,
}
TASK = Task.open(ENTRY, CLASSES, "test")


def no_file(path: str) -> bytes:
    raise AssertionError(path)


def admitted(label: Any, task: Task = TASK) -> Any:
    return task.labels.admit(label, Seen(8, 8), no_file)


def decoded(logits: Any, task: Task = TASK) -> Arrays:
    return task.answers.decode({"logits": np.asarray(logits, np.float32)}, SPEC)


def drawn(items: int, seed: int = 0, levels: int | None = None) -> tuple[Arrays, Arrays]:
    """Logits that know something of a made truth, rounded where many shall tie; and the truth."""
    rng = np.random.default_rng(seed)
    present = (rng.random((items, 3)) < (0.5, 0.2, 0.35)).astype(np.uint8)
    logits = 2.0 * present - 1.5 + rng.normal(0, 1, present.shape)
    if levels:
        logits = np.round(logits * levels) / levels
    return decoded(logits), {"present": present}


def scores(ours: Arrays, truth: Arrays, floats: Arrays | None = None) -> dict[Any, Score]:
    found = TASK.answers.score(ours, floats, truth, 0.95)
    assert TASK.answers.first_score(ours, truth) == found[0].value.value
    return {score.name if score.of is None else (score.name, score.of): score for score in found}


def test_label_is_a_set_in_order_and_a_row_of_the_truth() -> None:
    found = admitted([2, 0])
    assert found.label == [0, 2]
    assert found.classes == (0, 2)
    truth = TASK.labels.truth(found.label, SPEC, no_file)
    assert truth["present"].tolist() == [[1, 0, 1]]
    assert truth["present"].dtype == np.uint8


def test_image_without_a_class_is_a_negative_when_admitted() -> None:
    found = admitted([])
    assert found.classes == ()
    assert TASK.labels.truth(found.label, SPEC, no_file)["present"].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ([0, 3], "class 3 is none of the 3, which are numbered from 0"),
        ([-1], "class -1 is none of the 3"),
        ([None], "class None is none of the 3"),
        ([1, 0, 1], "names 'dog' 2 times, once is due"),
        (None, "no label: None is no list of classes"),
        (1, "no label: 1 is no list"),
    ],
)
def test_label_is_refused_with_its_reason_when_it_cannot_be(label: Any, words: str) -> None:
    with pytest.raises(UnusableError, match=words):
        admitted(label)


def test_classes_are_those_of_the_objects_when_the_source_lists_objects() -> None:
    task = Task.open({**ENTRY, "labels": "objects"}, CLASSES, "test")
    assert task.labels.source() == OBJECTS
    plain = {"rings": None, "points": None, "area": None, "crowd": False, "ignore": False}
    things = [{"category": c, "box": [0.0, 0.0, 4.0, 4.0], **plain} for c in (2, 0, 2)]
    label = {"width": 8, "height": 8, "relative": False, "objects": things}
    assert admitted(label, task).label == [0, 2]
    assert admitted({**label, "objects": []}, task).label == []
    with pytest.raises(UnusableError, match="object 1: class 7 is none of the 3"):
        admitted({**label, "objects": [{**things[0], "category": 7}]}, task)


def test_scenes_of_objects_become_sets_when_ingested(tmp_path: Path) -> None:
    entry = {"method": "digit_scenes", "scenes": 60, "side": 32, "least": 0, "most": 4}
    listing = resolve("data.sources", entry, "test", "ingest.source")(tmp_path)
    task = Task.open({**ENTRY, "labels": "objects"}, listing.classes, "test")
    rules = Rules(split=Fractions(val=0.1, test=0.3), limit=None)
    manifest = build_manifest(listing, tmp_path, rules, Labelling(task.entry, task.labels))
    assert manifest.usable == 60
    images = ImageSet.open(tmp_path)
    drawn_on = {
        entry.id: sorted({each["category"] for each in entry.label["objects"]})
        for entry in listing.entries()
    }
    assert dict(zip(images.ids, images.labels, strict=True)) == drawn_on
    assert [] in images.labels
    assert (images.strata[[label == [] for label in images.labels]] == -1).all()
    truth = images.truth(task.labels, SPEC)["present"]
    assert [np.flatnonzero(row).tolist() for row in truth] == images.labels


def test_class_is_given_from_the_threshold_on() -> None:
    task = Task.open({**ENTRY, "threshold": 0.8}, CLASSES, "test")
    found = decoded([[0.0, 1.38, 1.39]], task)
    assert found["present"].tolist() == [[0, 0, 1]]
    assert found["scores"][0] == pytest.approx([0.5, 0.79898, 0.80058], abs=1e-4)
    assert found["scores"].dtype == np.float32


def test_sigmoid_holds_when_logits_are_extreme() -> None:
    assert decoded([[-1e30, 1e30, -100.0]])["scores"].tolist() == [[0.0, 1.0, pytest.approx(0)]]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(-3, 3), min_size=3, max_size=3), st.integers(0, 7)),
        min_size=1,
        max_size=40,
    )
)
def test_scores_are_scikit_learns_when_confidences_tie(rows: list[tuple[list[int], int]]) -> None:
    present = np.array([[truth >> bit & 1 for bit in range(3)] for _, truth in rows], np.uint8)
    ours = decoded([logits for logits, _ in rows])
    found = scores(ours, {"present": present})
    there = [index for index in range(3) if present[:, index].any()]
    expected = [average_precision_score(present[:, i], ours["scores"][:, i]) for i in there]
    for index, each in zip(there, expected, strict=True):
        assert found["ap", CLASSES[index]].value.value == pytest.approx(each)
        assert found["ap", CLASSES[index]].items == present[:, index].sum()
    assert found["mean_ap"].value.value == pytest.approx(np.mean(expected or [0.0]))
    how: dict[str, Any] = {"labels": there, "zero_division": 0}
    if there:
        macro = f1_score(present, ours["present"], average="macro", **how)
        assert found["macro_f1"].value.value == pytest.approx(macro)
    micro = f1_score(present, ours["present"], average="micro", zero_division=0)
    assert found["micro_f1"].value.value == pytest.approx(micro)
    exact = (present == ours["present"]).all(axis=1).mean()
    assert found["exact_match"].value.value == pytest.approx(exact)


@pytest.mark.parametrize("items", [50, 2**16])
def test_draws_are_those_of_the_images_repeated(items: int) -> None:
    """A sample is judged as the set of images in which those drawn twice are there twice."""
    rng = np.random.default_rng(1)
    present = rng.random(items) < 0.3
    logits = np.round(rng.normal(0, 1, items) + present, 1)
    counts = intervals.resamples(items, 3, seed=2)
    found = Ranked.of(logits, present).precision(Draws.of(counts))
    for row, count in zip(found, counts.astype(int), strict=True):
        expected = average_precision_score(present.repeat(count), logits.repeat(count))
        assert row == pytest.approx(expected)


def test_calibration_error_is_the_count_by_hand() -> None:
    truth = {"present": np.array([[1, 0, 0], [1, 1, 0]], np.uint8)}
    sure = np.array([[0.9, 0.9, 0.1], [0.9, 0.3, 0.1]])
    ours = decoded(np.log(sure / (1 - sure)))
    # At 0.9: three pairs, two there. At 0.3: one, there. At 0.1: two, none there.
    expected = (abs(3 * 0.9 - 2) + abs(0.3 - 1) + abs(2 * 0.1 - 0)) / 6
    found = scores(ours, truth)["calibration_error"]
    assert found.value.value == pytest.approx(expected, abs=1e-6)
    assert found.better == "lower"
    assert found.constant is None


def test_constant_is_the_best_that_any_blind_answer_scores() -> None:
    _, truth = drawn(40, 3)
    found = scores(decoded(np.zeros((40, 3))), truth)
    best = {"micro_f1": 0.0, "macro_f1": 0.0, "exact_match": 0.0}
    for given_classes in range(8):
        one = [[8.0 if given_classes >> bit & 1 else -8.0 for bit in range(3)]]
        blind = scores(decoded(np.repeat(one, 40, axis=0)), truth)
        best = {name: max(value, blind[name].value.value) for name, value in best.items()}
        assert blind["mean_ap"].value.value == pytest.approx(blind["mean_ap"].constant)
    assert found["mean_ap"].constant == pytest.approx(truth["present"].mean(axis=0).mean())
    for name, value in best.items():
        assert found[name].constant == pytest.approx(value)


def test_first_score_is_gated_and_all_are_named_in_order() -> None:
    ours, truth = drawn(60)
    found = TASK.answers.score(ours, ours, truth, 0.95)
    assert [score.name for score in found if score.of is None] == list(TASK.answers.units)
    assert found[0].name == "mean_ap"
    for score in found:
        assert score.value.low <= score.value.value <= score.value.high
        if score.of is None:
            assert score.drop is not None
            assert score.drop.value == 0.0


def test_drop_tells_a_real_loss_from_chance_when_paired() -> None:
    floats, truth = drawn(400, 5)
    noise = np.random.default_rng(6).normal(0, 1.5, floats["scores"].shape)
    logits = np.log(floats["scores"] / (1 - floats["scores"])) + noise
    found = scores(decoded(logits), truth, floats)
    drop = found["mean_ap"].drop
    assert drop is not None
    assert 0 < drop.low < drop.value < drop.high
    worse = found["calibration_error"]
    assert worse.drop is not None
    before = scores(floats, truth)["calibration_error"].value.value
    assert worse.drop.value == pytest.approx(worse.value.value - before)


def test_interval_covers_the_truth_when_test_sets_are_drawn_anew() -> None:
    """Of 30 test sets of 150 images, the 95 % interval holds what 20,000 images say."""
    ours, truth = drawn(20_000, 7)
    whole = scores(ours, truth)["mean_ap"].value.value
    hits = 0
    rng = np.random.default_rng(8)
    for _ in range(30):
        rows = rng.choice(20_000, 150, replace=False)
        part = {name: values[rows] for name, values in ours.items()}
        value = scores(part, {"present": truth["present"][rows]})["mean_ap"].value
        hits += value.low <= whole <= value.high
    assert hits >= 25


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_answer_is_none_when_one_output_is_not_finite(bad: float) -> None:
    truth = {"present": np.array([[1, 0, 0], [0, 1, 1]], np.uint8)}
    found = decoded([[9.0, -9.0, bad], [-9.0, 9.0, 9.0]])
    assert TASK.answers.agreement(found, found).tolist() == [0.0, 1.0]
    assert TASK.pictures.caption({name: each[:1] for name, each in found.items()}) == "no answer"
    judged = scores(found, truth)
    assert judged["exact_match"].value.value == 0.5
    assert judged["ap", "cat"].value.value == 0.5  # behind the image that has none
    assert judged["ap", "dog"].value.value == 0.5  # before the image that has one
    assert judged["micro_f1"].value.value == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))


def agreement(ours: npt.ArrayLike, floats: npt.ArrayLike) -> float:
    return float(TASK.answers.agreement(decoded([ours]), decoded([floats]))[0])


def test_agreement_is_the_product_of_its_parts_by_hand() -> None:
    assert agreement([4.0, 4.0, -9.0], [4.0, -4.0, -9.0]) == pytest.approx(
        # One of two classes; confidences 0.982 and 0.018 apart.
        0.5 * (1 - 0.96403 / (2 * 0.98201 + 0.00012)),
        abs=1e-4,
    )


def test_agreement_falls_when_confidences_are_halved_and_no_class_changes() -> None:
    sure = np.array([0.99, 0.02, 0.01])
    logits = np.log(sure / (1 - sure))
    assert agreement(logits / 2, logits) < 0.85
    halved = np.log(sure / 2 / (1 - sure / 2))
    task = Task.open({**ENTRY, "threshold": 0.3}, CLASSES, "test")
    a, b = decoded([halved], task), decoded([logits], task)
    assert (a["present"] == b["present"]).all()
    assert task.answers.agreement(a, b)[0] == pytest.approx(1 - 0.51 / 1.02, abs=1e-4)


def test_agreement_hardly_moves_by_traces_when_an_image_has_nothing() -> None:
    assert agreement([-5.0, -6.0, -5.5], [-4.7, -6.3, -5.2]) > 0.99


@given(st.lists(st.floats(-12, 7), min_size=3, max_size=3), st.integers(0, 2))
def test_agreement_is_whole_for_equals_and_what_runtimes_round(
    logits: list[float], place: int
) -> None:
    off = np.array(logits, np.float32)
    assert agreement(off, off) == 1.0
    moved = off.copy()
    moved[place] += 2e-5
    if (decoded([off])["present"] == decoded([moved])["present"]).all():
        assert agreement(moved, off) == 1.0
    moved[place] += 0.01
    assert agreement(moved, off) == agreement(off, moved) < 1.0


def test_agreement_is_below_one_when_a_rare_class_loses_its_order() -> None:
    """Traces of confidence still rank images: what rounds them away is a difference."""
    assert agreement([-12.0, -12.0, -12.0], [-12.0, -12.0, -12.01]) < 1.0
    assert agreement([-14.0, -14.0, -30.0], [-14.0, -14.0, -12.0]) < 1.0


def test_agreement_with_a_truth_tells_right_answers_from_wrong_ones() -> None:
    """The report shows the items where answers and truth agree least."""
    truth = {"present": np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], np.uint8)}
    rows = [[9, -9, -9], [9, 1, -9], [-9, -9, -9], [-0.7, -0.7, -0.7]]
    found = TASK.answers.agreement(decoded(rows), truth)
    assert found[0] > 0.999
    assert found[1] == pytest.approx(0.5 * 0.2689, abs=1e-3)
    assert found[2] > 0.999
    assert found[3] == pytest.approx(0.6682, abs=1e-3)  # right, with three traces of 0.33


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


FOCUSED = {**ENTRY, "focus_positive": 1.0, "focus_negative": 4.0, "margin": 0.05}


def test_loss_is_cross_entropy_when_nothing_is_focused() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)) * 5
    present = (logits + 1 > 0).to(torch.uint8)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    for smoothing in (0.0, 0.1):
        wanted = present.float() * (1 - smoothing) + smoothing / 2
        found = TASK.learner.loss({"logits": logits}, {"present": present}, smoothing)
        assert float(found["loss"]) == pytest.approx(float(entropy(logits, wanted) * 3), rel=1e-5)
    assert float(found["exact_match"]) == pytest.approx(
        float(((logits >= 0) == (present > 0)).all(1).float().mean())
    )


def test_loss_is_the_papers_formula_when_asymmetric() -> None:
    """L+ = (1 - p)^1 log p, L- = (p_m)^4 log(1 - p_m), p_m = max(p - 0.05, 0): its eq. 4 to 7."""
    learner = Task.open(FOCUSED, CLASSES, "test").learner
    logits = np.array([[0.3, -1.2, -4.0], [2.0, 0.7, -0.4]])
    present = np.array([[1, 0, 0], [1, 1, 0]], np.uint8)
    share = 1 / (1 + np.exp(-logits))
    left = np.maximum(share - 0.05, 0)
    terms = np.where(present, (1 - share) * np.log(share), left**4 * np.log(1 - left))
    found = learner.loss(
        {"logits": torch.from_numpy(logits).float()}, {"present": torch.from_numpy(present)}
    )
    assert float(found["loss"]) == pytest.approx(-terms.sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("focus", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_slope_is_finite_when_confidences_are_extreme(focus: float, margin: float) -> None:
    entry = {**ENTRY, "focus_positive": focus, "focus_negative": focus, "margin": margin}
    learner = Task.open(entry, CLASSES, "test").learner
    logits = torch.tensor([[-200.0, 200.0, -3.0], [200.0, -200.0, 0.0]], requires_grad=True)
    present = torch.tensor([[1, 0, 0], [1, 0, 1]], dtype=torch.uint8)
    learner.loss({"logits": logits}, {"present": present})["loss"].backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("entry", [ENTRY, FOCUSED])
def test_loss_falls_to_the_truth_when_logits_are_learnt(entry: dict[str, Any]) -> None:
    task = Task.open(entry, CLASSES, "test")
    _, truth = drawn(50)
    logits = torch.zeros(50, 3, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = task.learner.loss({"logits": logits}, tensors(truth))["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    assert scores(decoded(logits.detach().numpy()), truth)["mean_ap"].value.value == 1.0


def test_divergence_is_torchs_of_bernoullis_and_nothing_for_equals() -> None:
    generator = torch.Generator().manual_seed(0)
    mine, theirs = (torch.randn(5, 3, generator=generator) * 3 for _ in range(2))
    student, teacher = {"logits": mine}, {"logits": theirs}
    assert float(TASK.learner.divergence(teacher, teacher, 2.0)) == 0.0
    p, q = (torch.distributions.Bernoulli(logits=each / 2.0) for each in (theirs, mine))
    expected = float(torch.distributions.kl_divergence(p, q).sum(1).mean())
    assert float(TASK.learner.divergence(student, teacher, 2.0)) == pytest.approx(
        expected, rel=1e-5
    )


def test_caption_names_the_surest_first_and_none_where_nothing_is_given() -> None:
    pictures = TASK.pictures
    assert pictures.caption(decoded([[1.0, -2.0, 3.0]])) == "emu 95%, cat 73%"
    assert pictures.caption(decoded([[-1.0, -2.0, -3.0]])) == "none, likeliest cat 27%"
    assert pictures.caption({"present": np.array([[1, 0, 1]], np.uint8)}) == "cat, emu"
    grey = np.full((8, 8, 1), 7, np.uint8)
    shown = pictures.draw(grey, decoded([[1.0, -2.0, 3.0]]), SPEC)
    assert shown.shape == (8, 8, 3)
    assert (shown == 7).all()


def test_every_interval_is_wider_when_images_come_in_groups() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    easy = (rng.random(20) < 0.6)[groups]
    present = (rng.random((200, 3)) < 0.5).astype(np.uint8)
    sure = np.where(present == 1, 0.9, 0.1)
    scores_ = np.where(easy[:, None], sure, rng.random((200, 3))).astype(np.float32)
    ours = {"present": (scores_ > 0.5).astype(np.uint8), "scores": scores_}
    alone = TASK.answers.score(ours, None, {"present": present}, 0.95)
    grouped = TASK.answers.score(ours, None, {"present": present}, 0.95, groups)
    for wide, narrow in zip(grouped, alone, strict=True):
        assert wide.value.value == narrow.value.value
        assert wide.value.high - wide.value.low > narrow.value.high - narrow.value.low, wide.name
