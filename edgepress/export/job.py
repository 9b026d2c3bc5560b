"""ExportJob: what an exporter gets, and how it ends: every file hashed, exported.json written."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from edgepress.errors import UserError
from edgepress.records.bundle import Bundle
from edgepress.records.calibration import IMAGES, Calibration
from edgepress.records.exported import Exported, ExportedFile
from edgepress.records.quantized import Quantized
from edgepress.records.record import sha256_file
from edgepress.records.target import Target

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ExportJob:
    """One network to be written in one target's format, batch 1, NCHW float32 in, logits out."""

    target: Target
    quantized: Quantized
    """The recipe says what is to be int8; the hashes become part of the export's identity."""
    model: nn.Module
    """Float32, eval mode, on the CPU; an exporter leaves it as it found it."""
    bundle: Bundle
    calibration: npt.NDArray[np.float32] | None
    """Preprocessed images, float32 [N, C, H, W]; None where nothing is calibrated."""
    out: Path
    """An existing empty folder."""

    @property
    def int8(self) -> bool:
        """True for int8 weights and activations, False for float; a mixture is a UserError."""
        recipe = self.quantized.recipe
        if recipe.weights != recipe.activations:
            raise UserError(
                f"target {self.target}: weights {recipe.weights} with activations "
                f"{recipe.activations} is not a mixture this exporter writes; make both the same"
            )
        return recipe.weights == "int8"

    def calibration_images(self) -> npt.NDArray[np.float32]:
        """Return the images, float32 [N, C, H, W], N > 0; missing or misshapen is a UserError."""
        again = f"run quantize@{self.quantized.precision} anew"
        if self.calibration is None or len(self.calibration) == 0:
            raise UserError(
                f"target {self.target}: int8 needs calibration images and "
                f"'{self.quantized.precision}' has none; {again}"
            )
        expected = self.bundle.input.shape[1:]
        if self.calibration.shape[1:] != expected or self.calibration.dtype != np.float32:
            raise UserError(
                f"target {self.target}: calibration images are {self.calibration.dtype} "
                f"{self.calibration.shape[1:]}, the network takes float32 {expected}; "
                f"{again}"
            )
        return self.calibration


def read_calibration(folder: Path) -> npt.NDArray[np.float32]:
    """Return the images of a calibration folder; missing or changed files are UserErrors."""
    record = Calibration.read(folder)
    path = folder / IMAGES
    if not path.is_file():
        raise UserError(f"{path}: file not found; run the quantize stage again")
    if sha256_file(path) != record.images_sha256:
        raise UserError(f"{path}: is not the file calibration.json names; run quantize again")
    images: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
    return images


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


def finish(
    job: ExportJob,
    *,
    format: str,
    entry: str,
    layout: Literal["NCHW", "NHWC"],
    input_name: str,
    output_name: str,
    tools: dict[str, str],
    notes: tuple[str, ...] = (),
) -> Exported:
    """Hash every file below `job.out`, write exported.json there and return it.

    `entry` is the relative path of the file or folder the runtime opens; it must exist.
    """
    if not (job.out / entry).exists():
        raise FileNotFoundError(f"{job.out / entry}: the exporter did not write its entry")
    exported = Exported(
        target=job.target,
        format=format,
        entry=entry,
        files=_files(job.out),
        input=job.bundle.input,
        layout=layout,
        input_name=input_name,
        output_name=output_name,
        classes=job.bundle.classes,
        tools=tools,
        bundle_sha256=job.quantized.bundle_sha256,
        calibration_sha256=job.quantized.calibration_sha256,
        notes=notes,
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
