"""Tools: the versions of other people's packages, and the processor's instruction sets."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import Any

from edgepress.devices import host

DISTRIBUTIONS = {
    "PIL": ("pillow",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "nncf"),
    "executorch": ("executorch", "torchao"),
    "sklearn": ("scikit-learn",),
    "tensorrt_rtx_bindings": ("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu13-libs"),
    "yaml": ("PyYAML",),
}
"""Import name -> the distributions whose versions can change what it makes, if not its own."""


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return distribution -> version of the packages behind top-level import names."""
    found: dict[str, str] = {}
    for name in sorted(names):
        for distribution in DISTRIBUTIONS.get(name, (name,)):
            version = _version(distribution)
            if version is not None:
                found[distribution] = version
    return dict(sorted(found.items()))


def processor(whole: bool) -> dict[str, Any]:
    """Return what of the processor changes a result; `whole` is the machine that times models."""
    machine = host.here()
    found: dict[str, Any] = {
        "architecture": machine.architecture,
        "isa_flags": list(machine.isa_flags),
        "emulated": machine.emulated,
    }
    return {**found, "machine": machine.machine} if whole else found


@cache
def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
