"""Bundles of schema 1: a classifier whose last layer was the backbone's own."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from edgepress.errors import UserError
from edgepress.methods import module

_HEAD = "head.fc"


def upgraded(old: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the fields of a schema-1 record in schema 2."""
    if old.get("task") != "classification":
        raise UserError(f"{path}: schema 1 knows classification only, got {old.get('task')!r}")
    last = _classifier(old["backbone"], path)
    steps = [
        {**step, "kind": "resize", "module": _renamed(step["module"], last, old["backbone"])}
        for step in old.get("surgery", [])
    ]
    return {
        **old,
        "schema_version": 2,
        "task": {"method": "classification"},
        "head": {"method": "linear"},
        "surgery": steps,
    }


def renamed(tensors: dict[str, Tensor], backbone: dict[str, Any], path: str) -> dict[str, Tensor]:
    """Return the weights of a schema-1 Bundle under the names of schema 2."""
    last = _classifier(backbone, path)
    return {_renamed(name, last, backbone): tensor for name, tensor in tensors.items()}


def _renamed(name: str, last: str, backbone: dict[str, Any]) -> str:
    if name == last or name.startswith(f"{last}."):
        return _HEAD + name.removeprefix(last)
    inner = "backbone.model" if backbone["method"] == "timm" else "backbone"
    return f"{inner}.{name}" if name else inner


def _classifier(backbone: dict[str, Any], path: str) -> str:
    if backbone.get("method") == "resnet_cifar":
        return "fc"
    # By name, as every method: what reads Bundles does not depend on backbones it does not load.
    published = module("backbones", "timm", path).published
    name = published(str(backbone.get("model"))).get("classifier")
    if not isinstance(name, str):
        raise UserError(f"{path}: schema 1: {backbone} has no single classifier; train it anew")
    return name
