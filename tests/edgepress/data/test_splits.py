from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepress.data.listing import Entry
from edgepress.data.splits import Fractions, draw, limited, position, refuse_empty
from edgepress.errors import UserError
from edgepress.params import validate
from edgepress.records.manifest import Split

FRACTIONS = Fractions(val=0.1, test=0.25)
NONE: frozenset[Split] = frozenset()


def entries(count: int, split: Split | None = None) -> list[Entry]:
    return [Entry(f"image/{number}", "p", 0, split) for number in range(count)]


def test_draw_shares_images_out_by_the_fractions() -> None:
    shares = Counter(draw(entry, NONE, FRACTIONS) for entry in entries(20_000))
    assert shares["test"] / 20_000 == pytest.approx(0.25, abs=0.01)
    assert shares["val"] / 20_000 == pytest.approx(0.1, abs=0.01)


def test_draw_is_fixed_for_all_time() -> None:
    drawn = [draw(Entry(name, "p", 0), NONE, FRACTIONS) for name in ("digits/0003", "a", "b", "c")]
    assert drawn == ["train", "train", "test", "test"]


@given(st.text(min_size=1, max_size=20), st.sampled_from(["val", "test"]))
def test_draw_keeps_the_sources_own_val_and_test(name: str, split: Split) -> None:
    entry = Entry(name, "p", 0, split)
    assert draw(entry, frozenset({"train", split}), FRACTIONS) == split


@pytest.mark.parametrize("brought", ["val", "test"])
def test_draw_takes_only_the_missing_split_from_train(brought: Split) -> None:
    drawn = Counter(
        draw(entry, frozenset({"train", brought}), FRACTIONS) for entry in entries(5000, "train")
    )
    assert brought not in drawn
    missing: Split = "val" if brought == "test" else "test"
    share = {"val": 0.1, "test": 0.25}[missing]
    assert drawn[missing] / 5000 == pytest.approx(share, abs=0.03)


@given(st.text(max_size=20))
def test_position_lies_in_the_unit_interval(name: str) -> None:
    assert 0 <= position(name) < 1


@given(st.integers(1, 30))
def test_limited_keeps_at_most_the_limit_of_each_split_and_grows_with_it(limit: int) -> None:
    listed = entries(200)
    images = [(entry, None) for entry in listed]
    kept = limited(images, NONE, FRACTIONS, limit)
    per_split = Counter(draw(e, NONE, FRACTIONS) for e in listed if e.id in kept)
    all_of = Counter(draw(e, NONE, FRACTIONS) for e in listed)
    assert per_split == {split: min(limit, count) for split, count in all_of.items()}
    assert kept <= limited(images, NONE, FRACTIONS, limit + 1)
    assert kept == limited(reversed(images), NONE, FRACTIONS, limit)


def test_limited_chooses_from_the_split_of_the_group() -> None:
    images = [(entry, f"group {entry.id[-1]}") for entry in entries(200)]
    kept = limited(images, NONE, FRACTIONS, 10)
    splits = Counter(draw(e, NONE, FRACTIONS, name) for e, name in images if e.id in kept)
    assert len(splits) > 1
    assert set(splits.values()) == {10}


@pytest.mark.parametrize(
    "raw", [{"val": 0.6, "test": 0.5}, {"val": 0.0, "test": 0.1}, {"val": 0.1}]
)
def test_fractions_are_refused_when_a_split_would_be_empty(raw: dict[str, float]) -> None:
    with pytest.raises(UserError, match="params.yaml: ingest.split"):
        validate(Fractions, raw, "params.yaml", "ingest.split")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"leaks": "move"}, "ingest.split.leaks: Input should be 'keep' or 'quarantine' (got"),
        ({"leak": "keep"}, "ingest.split.leak: unknown key; known: val, test, group, leaks (did"),
        ({"group": "folder"}, "ingest.split.group: Input should be an object (got 'folder')"),
        ({"group": {"by": "foldr"}}, "ingest.split.group.by: Input should be 'folder', 'id', "),
        ({"group": {"by": "id"}}, "ingest.split.group: Value error, by: id needs pattern"),
        ({"group": {"by": "folder", "bits": 2}}, "by: folder takes no bits"),
        ({"group": {"by": "near_duplicate"}}, "by: near_duplicate needs bits"),
        ({"group": {"by": "near_duplicate", "bits": 17}}, "ingest.split.group.bits: Input should"),
        ({"group": {"by": "column", "colum": "a"}}, "known: by, pattern, column, bits (did you"),
        (
            {"group": {"by": "id", "pattern": "(a"}},
            "ingest.split.group.pattern: Value error, not a regular expression: missing ), unter",
        ),
    ],
)
def test_grouping_is_refused_in_one_line_that_names_the_key(
    change: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError) as refused:
        validate(Fractions, {"val": 0.1, "test": 0.2, **change}, "params.yaml", "ingest.split")
    assert str(refused.value).startswith("params.yaml: ingest.split")
    assert said in str(refused.value)


def test_refuse_empty_names_the_split_then_the_class() -> None:
    counts: dict[Split, dict[str, int]] = {"train": {"a": 1, "b": 0}, "val": {"a": 0, "b": 0}}
    items: dict[Split, int] = {"train": 1, "val": 0}
    with pytest.raises(UserError, match="here: the val split has no usable image; do this"):
        refuse_empty(items, counts, "here", "do this")
    items["val"] = counts["val"]["a"] = 1
    with pytest.raises(UserError, match="here: the class 'b' has no usable image; do this"):
        refuse_empty(items, counts, "here", "do this")
    counts["val"]["b"] = 1
    refuse_empty(items, counts, "here", "do this")
