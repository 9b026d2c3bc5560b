from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepress.errors import UserError
from edgepress.export.calibration_images import CalibrationImages
from edgepress.export.export_job import (
    ExportJob,
    NotExportedError,
    Written,
    converting,
    finish,
    ports,
    versions,
)
from edgepress.export.trial import run_once
from edgepress.records.exported import Exported
from edgepress.records.quantized import TensorScale


def end(job: ExportJob, entry: str = "model.bin", **changes: Any) -> Exported:
    fields: dict[str, Any] = {
        "format": "raw",
        "entry": entry,
        "inputs": ports(job.inputs),
        "outputs": ports(job.outputs),
        "tools": {},
    }
    return finish(job, Written(**{**fields, **changes}))


def test_finish_hashes_every_file_when_some_lie_in_folders(make_job: Any, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out", "x86_64-onnxruntime-fp32")
    (job.out / "model.bin").write_bytes(b"weights")
    (job.out / "parts").mkdir()
    (job.out / "parts" / "a").write_bytes(b"aa")
    exported = end(job, notes=("float head",))
    assert [(file.path, file.bytes) for file in exported.files] == [
        ("model.bin", 7),
        ("parts/a", 2),
    ]
    assert exported.files[0].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert exported.size_bytes == 9
    assert exported.bundle_sha256 == job.quantized.bundle_sha256
    assert exported.notes == ("float head",)
    assert Exported.read(job.out) == exported


def test_finish_leaves_its_own_record_out_when_called_again(make_job: Any, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out", "x86_64-onnxruntime-fp32")
    (job.out / "model.bin").write_bytes(b"weights")
    assert end(job) == end(job)


def test_finish_refuses_when_the_entry_was_not_written(make_job: Any, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out", "x86_64-onnxruntime-fp32")
    with pytest.raises(FileNotFoundError, match="model.bin"):
        end(job)
    assert not (job.out / "exported.json").exists()


def test_int8_follows_the_recipe_not_the_name_of_the_precision(
    make_job: Any, tmp_path: Path
) -> None:
    quantized = make_job(tmp_path, "a-b-int8").quantized
    assert make_job(tmp_path, "a-b-small", quantized=quantized).int8
    assert not make_job(tmp_path, "a-b-fp32").int8


@pytest.mark.parametrize(
    "changes", [{"activations": "float32"}, {"tensors": {"fc.weight": TensorScale(bits=32)}}]
)
def test_recipe_is_mixed_when_weights_and_activations_or_single_tensors_differ(
    make_job: Any, tmp_path: Path, changes: Any
) -> None:
    job = make_job(tmp_path, "a-b-int8")
    recipe = job.quantized.recipe.model_copy(update=changes)
    other = make_job(tmp_path, "a-b-int8", recipe=recipe)
    assert (job.int8, job.mixed) == (True, False)
    assert (other.int8, other.mixed) == (False, True)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "needs calibration images and 'int8' has none"),
        (np.zeros((0, 16, 16, 1), np.uint8), "has none"),
        (np.zeros((4, 8, 16, 1), np.uint8), r"\(8, 16, 1\), the network takes \(16, 16, 1\)"),
    ],
)
def test_calibration_images_refuse_when_missing_or_misshapen(
    make_job: Any, tmp_path: Path, images: Any, message: str
) -> None:
    spec = make_job(tmp_path, "a-b-fp32").bundle.input
    held = None if images is None else CalibrationImages(images, spec)
    job = make_job(tmp_path, "a-b-int8", calibration=held)
    with pytest.raises(UserError, match=message):
        job.calibration_images()


def test_converters_own_error_is_one_line_that_names_it_when_it_fails() -> None:
    with (
        pytest.raises(NotExportedError, match="toolkit: ValueError: a b") as refused,
        converting("toolkit"),
    ):
        raise ValueError("a\nb")
    assert "\n" not in str(refused.value)
    with (
        pytest.raises(NotExportedError, match="toolkit: ValueError: the root"),
        converting("toolkit"),
    ):
        raise RuntimeError("advice of many lines") from ValueError("the root")
    with pytest.raises(UserError, match="mine"), converting("toolkit"):
        raise UserError("mine")


def test_export_is_refused_when_it_does_not_load_run_or_give_its_shapes(
    make_job: Any, export: Any, tmp_path: Path
) -> None:
    folder, exported = export("x86_64-onnxruntime-fp32", {"method": "onnx", "opset": 18})
    run_once(folder, exported)
    wider = exported.part.outputs[0].tensor.model_copy(update={"shape": (1, 11)})
    port = exported.part.outputs[0].model_copy(update={"tensor": wider})
    part = exported.part.model_copy(update={"outputs": (port,)})
    with pytest.raises(NotExportedError, match=r"gives logits \(1, 10\) instead of \(1, 11\)"):
        run_once(folder, exported.model_copy(update={"parts": (part,)}))
    with pytest.raises(NotExportedError, match="does not load"):
        run_once(tmp_path, exported)


def test_versions_name_the_package_when_it_is_missing() -> None:
    assert versions("numpy")["numpy"] == np.__version__
    with pytest.raises(UserError, match="no-such-package is not installed"):
        versions("numpy", "no-such-package")
