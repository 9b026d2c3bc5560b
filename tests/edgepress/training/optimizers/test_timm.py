from __future__ import annotations

from typing import Any

import pytest

from edgepress.errors import UserError


def test_timms_adamw_is_ours_when_the_arguments_are_the_same(bench: Any) -> None:
    ours, theirs = bench.network(), bench.network()
    entry = {"method": "timm", "name": "adamw", "arguments": {"betas": [0.8, 0.9]}}
    made = (
        bench.build(ours, {**bench.entries["adamw"], "betas": [0.8, 0.9]}),
        bench.build(theirs, entry),
    )
    for seed, share in enumerate((1.0, 0.5, 0.25)):
        for network, optimizer in zip((ours, theirs), made, strict=True):
            bench.descend(network, lambda each=optimizer, share=share: each.step(share), seed)
    assert bench.same(ours, theirs)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "adamv"}, ["timm.optim has no adamv", "did you mean adam"]),
        ({"name": "adamw", "arguments": {"betta": 1}}, ["adamw cannot be made with", "betta"]),
        ({"name": "fusedadam"}, ["fusedadam cannot be made"]),
    ],
)
def test_optimizer_is_refused_when_timm_has_none_such(
    bench: Any, entry: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        bench.build(bench.network(), {"method": "timm", **entry})
    assert all(word in str(caught.value) for word in words), caught.value
