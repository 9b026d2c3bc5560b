from __future__ import annotations

import torch

from edgepress.training.draws import of_key, of_step


def first(draws: torch.Generator) -> float:
    return float(torch.rand(1, generator=draws, dtype=torch.float64))


def test_every_step_of_every_seed_draws_its_own() -> None:
    found = {first(of_step(seed, step)) for seed in range(20) for step in range(50)}
    assert len(found) == 1000
    assert first(of_step(3, 7)) == first(of_step(3, 7))


def test_every_key_draws_its_own_and_takes_nothing_from_the_step() -> None:
    draws = of_step(1, 2)
    found = {first(of_key(draws, key)) for key in ("crop", "cutmix", "erase")}
    assert len(found | {first(of_step(1, 2))}) == 4
    assert first(draws) == first(of_step(1, 2))
    assert first(of_key(of_step(1, 3), "crop")) not in found
