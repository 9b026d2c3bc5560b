"""An ONNX model written as the export of a task, for tests of what measures it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from edgepress.records.exported import Exported, ExportedFile, Part, Port
from edgepress.records.inputs import InputSpec
from edgepress.records.target import Target
from edgepress.tasks.task import Task
from edgepress.validation.subject import Subject

BUNDLE = "b" * 64


def export_as(
    model: Any, folder: Path, key: str, of: tuple[Task, InputSpec], bundle: str = BUNDLE
) -> Subject:
    """Write a model, or its bytes, into a new folder as the export of a target; read it back."""
    task, spec = of
    folder.mkdir()
    content = model if isinstance(model, bytes) else model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    inputs, outputs = (
        tuple(Port(tensor=each, stored=each.name, layout=each.layout) for each in tensors)
        for tensors in (spec.tensors, task.answers.outputs(spec))
    )
    Exported(
        target=Target.parse(key),
        format="onnx",
        parts=(Part(name="model", entry="model.onnx", inputs=inputs, outputs=outputs),),
        files=(ExportedFile(path="model.onnx", sha256=digest, bytes=len(content)),),
        input=spec,
        task=task.entry,
        classes=task.classes,
        tools={},
        bundle_sha256=bundle,
        calibration_sha256=None,
    ).write(folder)
    return Subject.read(folder)
