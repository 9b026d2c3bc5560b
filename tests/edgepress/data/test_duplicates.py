from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.data import duplicates
from edgepress.data.duplicates import families, looks_like, looks_like_across


def by_all_pairs(hashes: np.ndarray, bits: int) -> list[int]:
    found = []
    for index, value in enumerate(hashes):
        near = [j for j in range(index) if int(value ^ hashes[j]).bit_count() <= bits]
        found.append(near[0] if near else -1)
    return found


def across_by_all_pairs(hashes: np.ndarray, parts: np.ndarray, bits: int) -> list[int]:
    found = []
    for index, value in enumerate(hashes):
        near = [
            j
            for j, other in enumerate(hashes)
            if parts[j] != parts[index] and int(value ^ other).bit_count() <= bits
        ]
        found.append(near[0] if near else -1)
    return found


def linked_by_all_pairs(hashes: np.ndarray, bits: int) -> set[frozenset[int]]:
    groups: list[set[int]] = []
    for index, value in enumerate(hashes):
        mine = {index}
        for group in [
            g for g in groups if any(int(value ^ hashes[j]).bit_count() <= bits for j in g)
        ]:
            mine |= group
            groups.remove(group)
        groups.append(mine)
    return set(map(frozenset, groups))


@st.composite
def alike(draw: st.DrawFn) -> np.ndarray:
    """Hashes in a few families, their members a few bits from the family's first."""
    seeds = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    members = draw(
        st.lists(
            st.tuples(st.sampled_from(seeds), st.lists(st.integers(0, 63), max_size=6)),
            min_size=1,
            max_size=30,
        )
    )
    flipped = [seed ^ sum(1 << bit for bit in set(bits)) for seed, bits in members]
    return np.array(flipped, np.uint64)


@settings(max_examples=300, deadline=None)
@given(alike(), st.integers(0, 16))
def test_looks_like_finds_what_all_pairs_find(hashes: np.ndarray, bits: int) -> None:
    assert looks_like(hashes, bits).tolist() == by_all_pairs(hashes, bits)


def test_looks_like_finds_pairs_in_groups_larger_than_a_block() -> None:
    rng = np.random.default_rng(0)
    hashes = np.uint64(rng.integers(0, 2**12, 3000))  # the upper bands are shared by all
    assert looks_like(hashes, 2).tolist() == by_all_pairs(hashes, 2)


def test_searches_take_nothing() -> None:
    nothing = np.array([], np.uint64)
    assert looks_like(nothing, 3).tolist() == []
    assert looks_like_across(nothing, np.array([], np.int64), 3).tolist() == []
    assert families(nothing, 3).tolist() == []


@settings(max_examples=200, deadline=None)
@given(alike(), st.integers(0, 16), st.data())
def test_looks_like_across_finds_what_all_pairs_of_other_parts_find(
    hashes: np.ndarray, bits: int, data: st.DataObject
) -> None:
    count = len(hashes)
    parts = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    found = looks_like_across(hashes, parts, bits).tolist()
    assert found == across_by_all_pairs(hashes, parts, bits)


@settings(max_examples=200, deadline=None)
@given(alike(), st.integers(0, 16))
def test_families_are_the_groups_that_all_pairs_link(hashes: np.ndarray, bits: int) -> None:
    labels = families(hashes, bits)
    found = {
        frozenset(np.flatnonzero(labels == label).tolist()) for label in range(max(labels) + 1)
    }
    assert found == linked_by_all_pairs(hashes, bits)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_families_finds_planted_chains_among_many(bits: int) -> None:
    rng = np.random.default_rng(bits)
    steps = [rng.integers(0, 2**64, 300, dtype=np.uint64)]
    for _ in range(5):
        places = rng.integers(0, 64, (bits, 300)).astype(np.uint64)
        steps.append(steps[-1] ^ np.bitwise_or.reduce(np.uint64(1) << places, axis=0))
    hashes = np.concatenate([*steps, rng.integers(0, 2**64, 20_000, dtype=np.uint64)])
    order = rng.permutation(len(hashes))
    labels = np.empty(len(hashes), np.int64)
    labels[order] = families(hashes[order], bits)
    assert (labels[: 6 * 300].reshape(6, 300) == labels[:300]).all()
    assert len(np.unique(labels)) == 300 + 20_000


def test_families_joins_a_chain_longer_than_what_is_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "_JOINED", 3)
    chain = np.uint64(1) << np.arange(64, dtype=np.uint64)
    assert set(families(np.bitwise_xor.accumulate(chain), 1).tolist()) == {0}
