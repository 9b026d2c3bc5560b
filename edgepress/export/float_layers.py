"""Layers that a recipe leaves in float at INT8, found in a graph with all that follows them.

One 8-bit step of a last convolution is a step of every box and confidence that is decoded from it;
TensorRT's, OpenVINO's and Ultralytics' recipes for detectors leave these layers in float.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import TypeVar

from edgepress.export.export_job import ExportJob, NotExportedError
from edgepress.export.tensor_names import paths
from edgepress.export.toolchain import Toolchain

_Step = TypeVar("_Step", bound=Hashable)


def float_paths(job: ExportJob) -> dict[str, str]:
    """Return where each float layer of the recipe is in the job's network.

    A name the network has not is a UserError.
    """
    return paths(job, job.quantized.recipe.float_layers)


def within(place: str, layers: Collection[str]) -> bool:
    """Say whether a module's path is that of a layer or of a part of one."""
    return any(place == layer or place.startswith(f"{layer}.") for layer in layers)


def with_followers(
    first: Iterable[_Step], takers: Callable[[_Step], Iterable[_Step]]
) -> set[_Step]:
    """Return steps of a graph and all steps that depend on them."""
    found: set[_Step] = set()
    rest = list(first)
    while rest:
        step = rest.pop()
        if step not in found:
            found.add(step)
            rest += takers(step)
    return found


def refuse_missing(toolchain: Toolchain, layers: Iterable[str], found: Collection[str]) -> None:
    """Raise a NotExportedError that names the first layer the toolchain's graph does not show."""
    for layer in layers:
        if layer not in found:
            raise not_float(toolchain, layer)


def not_float(toolchain: Toolchain, layer: str) -> NotExportedError:
    """Return the refusal of a layer that would not stay in float."""
    rule = "it is not to be told from others in what the converter made"
    return toolchain.cannot(layer, "float elements", rule)


def note(job: ExportJob) -> tuple[str, ...]:
    """Say which layers were left in float, for the export's record."""
    layers = job.quantized.recipe.float_layers
    return (f"float by the recipe: {', '.join(layers)}",) if layers and job.int8 else ()
