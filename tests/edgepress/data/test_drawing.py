"""Splits of whole sets: no group crosses, no order counts, no image moves without need."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.data.drawing import Draw, Drawn
from edgepress.data.groups import Grouping
from edgepress.data.inspection import Facts
from edgepress.data.listing import Entry
from edgepress.data.splits import Fractions, draw
from edgepress.records.manifest import SPLITS, Split

FRACTIONS = Fractions(val=0.2, test=0.3)
BY_ID = Grouping(by="id", pattern="unused: names are given")
BITS = 3
BY_LOOKS = Grouping(by="near_duplicate", bits=BITS)
NONE: frozenset[Split] = frozenset()


@dataclass(frozen=True)
class Image:
    """What a draw looks at."""

    id: str
    group: str | None = None
    file: int = 0
    look: int = 0
    split: Split | None = None
    reason: str = ""


def settled(
    images: list[Image],
    grouping: Grouping | None = None,
    limit: int | None = None,
    leaks: str = "keep",
) -> Drawn:
    """Draw some images in the order they are given."""
    brought = frozenset(image.split for image in images if image.split is not None)
    fractions = Fractions.model_validate(
        {**FRACTIONS.model_dump(), "group": grouping, "leaks": leaks}
    )
    drawing = Draw(brought, fractions, limit)
    for image in images:
        facts = Facts(image.reason, f"{image.file:016x}" + "0" * 48, phash=image.look)
        picture = image.id.partition("#")[0]
        drawing.add(Entry(picture, "p", 0, image.split), image.group, facts)

    def names() -> Iterator[tuple[list[str], list[str | None]]]:
        for start in range(0, len(images), 3):
            part = images[start : start + 3]
            yield [image.id for image in part], [image.group for image in part]

    return drawing.settle(names)


def splits(images: list[Image], grouping: Grouping | None = None) -> dict[str, str]:
    """Return the split of each id."""
    drawn = settled(images, grouping)
    return {image.id: SPLITS[drawn.splits[row]] for row, image in enumerate(images)}


def linked(left: Image, right: Image) -> bool:
    """Say whether two usable images must not part, by definition."""
    if left.reason or right.reason:
        return False
    return left.file == right.file or (left.look ^ right.look).bit_count() <= BITS


@st.composite
def sets(draw: st.DrawFn) -> list[Image]:
    """Images of a few files, looks and groups; copies of a file look the same."""
    looks = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
    files = draw(
        st.lists(
            st.tuples(st.sampled_from(looks), st.sets(st.integers(0, 63), max_size=4)),
            min_size=1,
            max_size=15,
        )
    )
    names = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=25, unique=True))
    images = []
    for name in names:
        number = draw(st.integers(0, len(files) - 1))
        look, flipped = files[number]
        images.append(
            Image(
                f"image/{name}",
                group=draw(st.sampled_from([None, "a", "b", "c", "d"])),
                file=number,
                look=look ^ sum(1 << bit for bit in flipped),
                reason=draw(st.sampled_from(["", "", "", "corrupt: cut off"])),
            )
        )
    return images


@settings(deadline=None)
@given(sets(), st.sampled_from([None, BY_ID, BY_LOOKS]))
def test_what_belongs_together_never_crosses_the_splits_that_are_drawn(
    images: list[Image], grouping: Grouping | None
) -> None:
    if grouping is not BY_ID:
        images = [replace(image, group=None) for image in images]
    found = splits(images, grouping)
    for left in images:
        for right in images:
            same_file = left.file == right.file and not left.reason and not right.reason
            same_name = left.group is not None and left.group == right.group
            alike = grouping is BY_LOOKS and linked(left, right)
            if same_file or same_name or alike:
                assert found[left.id] == found[right.id]


@settings(deadline=None)
@given(sets(), st.sampled_from([None, BY_ID, BY_LOOKS]), st.randoms(use_true_random=False))
def test_draw_does_not_depend_on_the_order_of_listing(
    images: list[Image], grouping: Grouping | None, mixer: random.Random
) -> None:
    before = splits(images, grouping)
    names = settled(images, grouping)
    groups = {image.id: names.group(row) for row, image in enumerate(images)}
    mixer.shuffle(images)
    assert splits(images, grouping) == before
    names = settled(images, grouping)
    assert {image.id: names.group(row) for row, image in enumerate(images)} == groups


@settings(deadline=None)
@given(sets())
def test_new_images_move_none_but_those_they_look_like(images: list[Image]) -> None:
    images = [replace(image, group=None, reason="") for image in images]
    *old, new = images
    before, after = splits(old, BY_LOOKS), splits(images, BY_LOOKS)
    touched = {new.id}
    while more := {
        image.id
        for image in images
        if image.id not in touched
        and any(linked(image, other) for other in images if other.id in touched)
    }:
        touched |= more
    assert {name for name in before if before[name] != after[name]} <= touched


@settings(deadline=None)
@given(sets())
def test_new_image_moves_none_when_it_links_one_group_and_is_not_first_by_name(
    images: list[Image],
) -> None:
    images = [replace(image, group=None, reason="") for image in images]
    new = replace(images[0], id="z")  # looks like one group alone: a copy of a member
    before = splits(images, BY_LOOKS)
    after = splits([new, *images], BY_LOOKS)
    assert {name: after[name] for name in before} == before
    assert after["z"] == before[images[0].id]


def test_single_images_are_drawn_as_ever_by_their_own_id() -> None:
    images = [Image(f"image/{n}", file=n, look=n << 32) for n in range(200)]
    alone = {image.id: draw(Entry(image.id, "p", 0), NONE, FRACTIONS) for image in images}
    assert splits(images) == alone
    assert splits(images, BY_ID) == alone
    far = [replace(image, look=n * 0x9E3779B97F4A7C15 % 2**64) for n, image in enumerate(images)]
    assert splits(far, BY_LOOKS) == alone


def test_group_gets_the_split_that_its_name_draws() -> None:
    images = [Image(f"{n}", group=f"group {n % 40}", file=n) for n in range(400)]
    found = splits(images, BY_ID)
    for image in images:
        assert found[image.id] == draw(Entry(str(image.group), "p", 0), NONE, FRACTIONS)
    assert len(set(found.values())) == 3


def test_groups_that_a_copy_links_are_drawn_by_the_smallest_of_their_names() -> None:
    for number in range(20):
        images = [
            Image(f"x {number}", group=f"{number} b", file=0),
            Image(f"y {number}", group=f"{number} b", file=1),
            Image(f"a {number}", group=f"{number} c", file=1),
        ]
        expected = draw(Entry(f"{number} b", "p", 0), NONE, FRACTIONS)
        assert set(splits(images, BY_ID).values()) == {expected}


def test_group_of_look_alikes_is_named_and_drawn_by_its_smallest_id() -> None:
    for number in range(20):
        images = [
            Image(f"{number} c", file=0, look=0b111),
            Image(f"{number} a", file=1, look=0),
            Image(f"{number} b", file=2, look=0b111111),
            Image(f"{number} far", file=3, look=2**64 - 1),
        ]
        drawn = settled(images, BY_LOOKS)
        assert [drawn.group(row) for row in range(4)] == [f"{number} a"] * 3 + [None]
        expected = draw(Entry(f"{number} a", "p", 0), NONE, FRACTIONS)
        assert {SPLITS[split] for split in drawn.splits[:3]} == {expected}
        assert drawn.groups is not None
        assert drawn.groups.model_dump() == {
            "by": "near_duplicate",
            "groups": 1,
            "largest": 3,
            "alone": 1,
        }


def parted(pictures: int, looks: dict[str, int]) -> list[Image]:
    """Return three items of each picture, unlike one another but for those whose looks are told."""
    return [
        Image(
            f"{number}.png#{item}",
            group=f"{number}.png",
            file=number,
            look=looks.get(f"{number}#{item}", (3 * number + item) * 0x9E3779B97F4A7C15 % 2**64),
        )
        for number in range(pictures)
        for item in range(3)
    ]


@pytest.mark.parametrize("grouping", [None, BY_LOOKS])
def test_items_of_a_picture_are_drawn_as_the_picture_and_counted_as_a_group(
    grouping: Grouping | None,
) -> None:
    images = parted(60, {})
    drawn = settled(images, grouping)
    for row, image in enumerate(images):
        expected = draw(Entry(str(image.group), "p", 0), NONE, FRACTIONS)
        assert SPLITS[drawn.splits[row]] == expected
        assert drawn.group(row) is None  # the row has the picture's name
    assert drawn.groups is not None
    word = "picture" if grouping is None else "near_duplicate"
    assert drawn.groups.model_dump() == {"by": word, "groups": 60, "largest": 3, "alone": 0}


def test_pictures_are_one_group_with_all_their_items_when_two_of_these_look_alike() -> None:
    for number in range(1, 20):
        images = parted(number + 1, {"0#2": 0b1, f"{number}#0": 0b11})
        drawn = settled(images, BY_LOOKS)
        linked = [row for row, image in enumerate(images) if image.file in (0, number)]
        assert {drawn.group(row) for row in linked} == {"0.png"}
        expected = draw(Entry("0.png", "p", 0), NONE, FRACTIONS)
        assert {SPLITS[drawn.splits[row]] for row in linked} == {expected}
        assert drawn.groups is not None
        assert (drawn.groups.groups, drawn.groups.largest) == (number, 6)


def test_files_that_cannot_be_used_link_no_groups() -> None:
    images = [
        Image(f"{n} {kind}", group=f"group {n}", file=0 if kind else n + 1, reason=kind)
        for n in range(40)
        for kind in ("", "empty: zero bytes")
    ]
    assert len(set(splits(images, BY_ID).values())) == 3


def test_limit_holds_when_groups_carry_images_from_split_to_split() -> None:
    images = [Image(f"{n}", file=n, look=n // 10 * 0x9E3779B97F4A7C15 % 2**64) for n in range(400)]
    drawn = settled(images, BY_LOOKS, limit=25)
    kept = Counter(SPLITS[s] for s, k in zip(drawn.splits, drawn.kept, strict=True) if k)
    every = Counter(SPLITS[s] for s in drawn.splits)
    assert kept == {split: min(25, count) for split, count in every.items()}
    assert min(every.values()) > 25


SOURCES_OWN = [
    Image("train/copy", file=1, look=0, split="train"),
    Image("train/like", file=2, look=0b11, split="train"),
    Image("train/far", file=3, look=2**64 - 1, split="train"),
    Image("train/broken", file=1, look=0, split="train", reason="corrupt: cut off"),
    Image("val/copy", file=1, look=0, split="val"),
    Image("val/own", file=4, look=2**32 - 1, split="val"),
    Image("train/of_val", file=4, look=2**32 - 1, split="train"),
    Image("test/b", file=1, look=0, split="test"),
    Image("test/a", file=5, look=0b1, split="test"),
]


@pytest.mark.parametrize(
    ("grouping", "like"), [(None, None), (BY_LOOKS, "leak: group of test/a in test")]
)
def test_leaks_are_quarantined_on_the_side_that_is_not_evaluated_last(
    grouping: Grouping | None, like: str | None
) -> None:
    drawn = settled(SOURCES_OWN, grouping, leaks="quarantine")
    reasons = {image.id: drawn.leak(row) for row, image in enumerate(SOURCES_OWN)}
    assert reasons == {
        "train/copy": "leak: copy of test/b in test",
        "train/like": like,
        "train/far": None,
        "train/broken": None,
        "val/copy": "leak: copy of test/b in test",
        "val/own": None,
        "train/of_val": "leak: copy of val/own in val",
        "test/b": None,
        "test/a": None,
    }
    own = {image.id: image.split for image in SOURCES_OWN}
    assert {i.id: SPLITS[s] for i, s in zip(SOURCES_OWN, drawn.splits, strict=True)} == own


def test_image_that_cannot_be_used_makes_no_leak_of_its_group() -> None:
    images = [
        Image("train/1", group="a", file=1, split="train"),
        Image("test/1", group="a", file=2, split="test", reason="corrupt: cut off"),
        Image("train/2", group="b", file=3, split="train"),
        Image("test/2", group="b", file=4, split="test"),
    ]
    drawn = settled(images, BY_ID, leaks="quarantine")
    assert [drawn.leak(row) for row in range(4)] == [
        None,
        None,
        "leak: group of test/2 in test",
        None,
    ]


def test_leaks_stay_when_they_are_kept() -> None:
    drawn = settled(SOURCES_OWN, BY_LOOKS)
    assert {drawn.leak(row) for row in range(len(SOURCES_OWN))} == {None}


@settings(deadline=None)
@given(sets(), st.data())
def test_nothing_is_left_to_leak_when_leaks_are_quarantined(
    images: list[Image], data: st.DataObject
) -> None:
    own = st.sampled_from(["train", "val", "test"])
    images = [replace(image, group=None, split=data.draw(own)) for image in images]
    drawn = settled(images, BY_LOOKS, leaks="quarantine")
    left = [
        (image, drawn.splits[row])
        for row, image in enumerate(images)
        if drawn.leak(row) is None and not image.reason
    ]
    for image, split in left:
        for other, theirs in left:
            if linked(image, other):
                assert split == theirs
