"""The parts that the recipes of tests have, as params.yaml has them."""

from __future__ import annotations

from typing import Any

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"method": "sgd", "momentum": 0.9, "nesterov": True},
    "adamw": {"method": "adamw", "betas": [0.9, 0.999], "eps": 1e-8},
    "lion": {"method": "lion", "betas": [0.9, 0.99]},
    "muon": {"method": "muon", "momentum": 0.95, "betas": [0.9, 0.95]},
}
"""Every optimizer of ours."""

PARTS: dict[str, Any] = {
    "optimizer": OPTIMIZERS["sgd"],
    "schedule": {"method": "one_cycle", "warmup": 0.15},
}
