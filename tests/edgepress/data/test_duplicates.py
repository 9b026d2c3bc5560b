from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepress.data.duplicates import looks_like


def by_all_pairs(hashes: np.ndarray, bits: int) -> list[int]:
    found = []
    for index, value in enumerate(hashes):
        near = [j for j in range(index) if int(value ^ hashes[j]).bit_count() <= bits]
        found.append(near[0] if near else -1)
    return found


@st.composite
def families(draw: st.DrawFn) -> np.ndarray:
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
@given(families(), st.integers(0, 16))
def test_looks_like_finds_what_all_pairs_find(hashes: np.ndarray, bits: int) -> None:
    assert looks_like(hashes, bits).tolist() == by_all_pairs(hashes, bits)


def test_looks_like_finds_pairs_in_groups_larger_than_a_block() -> None:
    rng = np.random.default_rng(0)
    hashes = np.uint64(rng.integers(0, 2**12, 3000))  # the upper bands are shared by all
    assert looks_like(hashes, 2).tolist() == by_all_pairs(hashes, 2)


def test_looks_like_takes_nothing() -> None:
    assert looks_like(np.array([], np.uint64), 3).tolist() == []
