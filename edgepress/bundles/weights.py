"""Weights: trained tensors of a file that a network starts from, instead of random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from edgepress.bundles import fitting, state_dict
from edgepress.bundles.fit import Fit
from edgepress.bundles.network import Network
from edgepress.errors import UserError
from edgepress.methods import module
from edgepress.params import Config, validate
from edgepress.records.record import sha256_file


class Weights(Config):
    """Which file, which bytes, and where in it the backbone lies."""

    path: str = Field(min_length=1)
    """A .safetensors file, or a state dict or training checkpoint that torch.save wrote."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Another file under this name is refused; null takes what is there."""
    prefix: str | None = None
    """What the backbone's names in the file begin with, as `student.`; null takes any."""


def given(section: dict[str, Any], where: str, key: str) -> Weights | None:
    """Return the entry `weights` of a section of `where`, whose dotted name is `key`."""
    raw = section.get("weights")
    if raw is None:
        return None
    weights = validate(Weights, raw, where, f"{key}.weights")
    backbone = section.get("backbone") or {}
    if backbone.get("pretrained"):
        raise UserError(f"{where}: {key}: weights and backbone.pretrained exclude each other")
    name = backbone.get("method")
    if name and getattr(module("backbones", str(name), where), "TRAINED", False):
        raise UserError(f"{where}: {key}.weights: backbone {name} has its own; leave weights out")
    return weights


def begin(
    network: Network, weights: Weights, where: str, *, whole: bool = False
) -> tuple[str, Fit]:
    """Load what fits into `network`; return the file's sha256 and what fitted.

    A file that is missing, changed, unsafe or of another network is a UserError that begins with
    `where`; with `whole`, so is one that leaves a tensor fresh.
    """
    path = Path(weights.path)
    try:
        digest = _hash(path, weights)
        fit = _fit(network, state_dict.read(path), weights)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if whole and (fit.fresh or fit.misfits):
        raise UserError(f"{where}: {path}: a tensor has no weights, and nothing is learnt: {fit}")
    network.load_state_dict(fit.tensors, strict=False)
    return digest, fit


def _hash(path: Path, weights: Weights) -> str:
    """Return the file's sha256, held against the one that is asked for before anything is read."""
    if not path.is_file():
        raise UserError(f"{path}: file not found")
    digest = sha256_file(path)
    if weights.sha256 not in (None, digest):
        raise UserError(f"{path}: its sha256 is {digest}, not {weights.sha256}")
    return digest


def _fit(network: Network, nests: state_dict.Nests, weights: Weights) -> Fit:
    try:
        fit = fitting.fit(network, nests, weights.prefix)
    except UserError as error:
        raise UserError(f"{weights.path}: {error}") from None
    for name, tensor in fit.tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(
                f"{weights.path}: {name} holds NaN or infinity; take a checkpoint from before"
            )
    return fit
