"""ExportJob: what an exporter gets, and how it ends: every file hashed, exported.json written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edgepress.errors import UserError
from edgepress.export.calibration_images import CalibrationImages
from edgepress.records.bundle import Bundle
from edgepress.records.exported import Exported, ExportedFile, Part, Port
from edgepress.records.quantized import Quantized
from edgepress.records.record import sha256_file
from edgepress.records.target import Target
from edgepress.records.tensors import TensorSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgepress.tasks.task import Ending


class NotExportedError(Exception):
    """A target's toolchain cannot write this network; the text is one line, for people."""

    def __init__(self, reason: str) -> None:
        """Keep the first 400 characters of `reason` as one line."""
        super().__init__(" ".join(reason.split())[:400])


@contextmanager
def converting(tool: str) -> Iterator[None]:
    """Turn whatever a converter raises into a NotExportedError that names the tool."""
    try:
        yield
    except (UserError, NotExportedError):
        raise
    except Exception as error:  # Converters raise nearly anything on what they cannot follow.
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise NotExportedError(f"{tool}: {type(cause).__name__}: {cause}") from error


@dataclass(frozen=True)
class ExportJob:
    """One network to be written in one target's format, for a batch of one."""

    target: Target
    quantized: Quantized
    """The recipe says what is to be int8; the hashes become part of the export's identity."""
    model: nn.Module
    """Float32, eval mode, on the CPU; an exporter leaves it as it found it."""
    bundle: Bundle
    outputs: tuple[TensorSpec, ...]
    """What the model gives, in order."""
    calibration: CalibrationImages | None
    """None where nothing is calibrated."""
    out: Path
    """An existing empty folder."""
    ending: Ending | None = None
    """The answer's last steps, for a target whose graph is to hold them; None: the task has none.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the model takes, in order."""
        return self.bundle.input.tensors

    @property
    def int8(self) -> bool:
        """Whether weights and activations are int8 throughout, in the toolchain's own way."""
        recipe = self.quantized.recipe
        return not self.mixed and recipe.weights == "int8"

    @property
    def mixed(self) -> bool:
        """Whether the recipe speaks of single tensors, or of weights or activations alone."""
        recipe = self.quantized.recipe
        return bool(recipe.tensors) or recipe.weights != recipe.activations

    def zeros(self) -> tuple[Tensor, ...]:
        """Return empty inputs in order."""
        import torch

        return tuple(torch.from_numpy(spec.zeros()) for spec in self.inputs)

    def calibration_images(self) -> CalibrationImages:
        """Return the images; missing or misshapen is a UserError."""
        again = f"run quantize@{self.quantized.precision} anew"
        if self.calibration is None or len(self.calibration) == 0:
            raise UserError(
                f"target {self.target}: int8 needs calibration images and "
                f"'{self.quantized.precision}' has none; {again}"
            )
        spec = self.bundle.input
        expected = (spec.height, spec.width, spec.channels)
        if self.calibration.spec != spec or self.calibration.pixels.shape[1:] != expected:
            raise UserError(
                f"target {self.target}: calibration images are "
                f"{self.calibration.pixels.shape[1:]}, the network takes {expected}; {again}"
            )
        return self.calibration


@dataclass(frozen=True)
class Written:
    """What an exporter wrote."""

    format: str
    entry: str
    """Relative path of the file or folder the runtime opens; it must exist."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tools: dict[str, str]
    notes: tuple[str, ...] = ()


def ports(
    specs: Sequence[TensorSpec], stored: Sequence[str] | None = None, channels_last: bool = False
) -> tuple[Port, ...]:
    """Return the ports of tensors, stored under their own names unless others are given."""
    names = [spec.name for spec in specs] if stored is None else stored
    return tuple(
        Port(
            tensor=spec,
            stored=name,
            layout="NHWC" if channels_last and spec.layout == "NCHW" else spec.layout,
        )
        for spec, name in zip(specs, names, strict=True)
    )


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each distribution; one that is missing is a UserError."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            raise UserError(
                f"the package {package} is not installed; pip install {package}"
            ) from None
    return found


def finish(job: ExportJob, written: Written) -> Exported:
    """Hash every file below `job.out`, write exported.json there and return it."""
    if not (job.out / written.entry).exists():
        raise FileNotFoundError(f"{job.out / written.entry}: the exporter did not write its entry")
    part = Part(name="model", entry=written.entry, inputs=written.inputs, outputs=written.outputs)
    exported = Exported(
        target=job.target,
        format=written.format,
        parts=(part,),
        files=_files(job.out),
        task=job.bundle.task,
        classes=job.bundle.classes,
        input=job.bundle.input,
        tools=written.tools,
        bundle_sha256=job.quantized.bundle_sha256,
        calibration_sha256=job.quantized.calibration_sha256,
        notes=written.notes,
    )
    exported.write(job.out)
    return exported


def _files(folder: Path) -> tuple[ExportedFile, ...]:
    paths = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name != Exported.file_name
    )
    return tuple(
        ExportedFile(
            path=path.relative_to(folder).as_posix(),
            sha256=sha256_file(path),
            bytes=path.stat().st_size,
        )
        for path in paths
    )
