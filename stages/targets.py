"""Targets: the pairs of places and precisions of params.yaml, and what each place allows."""

from __future__ import annotations

from typing import Any

from edgepress.params import lookup, validate
from edgepress.records.target import Target
from edgepress.validation.gates import Budget
from stages.places import PARAMS


def keys(tree: dict[str, Any]) -> list[str]:
    """Return every target's key, in the order of params.yaml."""
    places = lookup(tree, "places", str(PARAMS))
    precisions = lookup(tree, "precisions", str(PARAMS))
    return [f"{place}-{precision}" for place in places for precision in precisions]


def budget(tree: dict[str, Any], target: Target) -> Budget:
    """Return what a target's place allows: the default's bounds, its own where it has some."""
    budgets = lookup(tree, "budgets", str(PARAMS))
    place = f"{target.device}-{target.runtime}"
    merged = {**budgets.get("default", {}), **budgets.get(place, {})}
    return validate(Budget, merged, str(PARAMS), f"budgets.{place}")
