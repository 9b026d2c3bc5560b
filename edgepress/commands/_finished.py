"""A finished run read back for `edgepress compare`: its parameters, truth and stored answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgepress.commands.report import PARAMS, named
from edgepress.errors import UserError
from edgepress.params import lookup, read_yaml
from edgepress.records.bundle import Bundle
from edgepress.records.predictions import OpenPredictions, Predictions
from edgepress.records.quantized import BUNDLE, REFERENCE, Quantized
from edgepress.records.reference import OpenReference, Reference
from edgepress.tasks.task import Task
from edgepress.validation.comparison import Finished

CHAIN = ("teacher", "student", "slim")


def read(folder: Path, name: str) -> Finished:
    """Read what params.yaml names of the run below a folder; one not finished is a UserError."""
    params = read_yaml(folder / PARAMS)
    precisions = lookup(params, "precisions", f"{name}: {PARAMS}")
    quantized = [folder / "models" / "quantized" / str(each) for each in precisions]
    quantized = [each for each in quantized if (each / Quantized.file_name).exists()]
    if not quantized:
        raise UserError(f"{name}: no finished run there (models/quantized); run the pipeline first")
    bundle = Bundle.read(quantized[0] / BUNDLE)
    references = {f"quantized/{each.name}": _reference(each) for each in quantized}
    first = next(iter(references.values()))
    floats = {key: OpenPredictions(held.ids, held.answers) for key, held in references.items()}
    return Finished(
        name=name,
        params=params,
        task=Task.open(bundle.task, bundle.classes, name),
        truth=OpenPredictions(first.ids, first.truth),
        groups=first.groups,
        predictions={**dict(_chain(folder)), **floats, **dict(_targets(folder))},
    )


def _reference(folder: Path) -> OpenReference:
    return Reference.open(folder / REFERENCE, "")


def _chain(folder: Path) -> Iterator[tuple[str, OpenPredictions]]:
    for name in CHAIN:
        if (folder / "models" / name / Predictions.file_name).exists():
            yield name, Predictions.open(folder / "models" / name)


def _targets(folder: Path) -> Iterator[tuple[str, OpenPredictions]]:
    measured = folder / "targets" / "measured"
    for key in named(folder / PARAMS) or ():
        if (measured / key / Predictions.file_name).exists():
            yield key, Predictions.open(measured / key)
