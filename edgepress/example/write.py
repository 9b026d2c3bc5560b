"""Write: an export as a folder that answers pictures with a runtime, NumPy and Pillow alone."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgepress.data.placement import covered
from edgepress.devices.host import versions
from edgepress.errors import UserError
from edgepress.example import cplusplus
from edgepress.example.copied import copy
from edgepress.records.exported import Exported
from edgepress.runtimes.bare import PACKAGES
from edgepress.tasks.task import Task
from edgepress.validation.subject import Subject

ALONE = ("onnxruntime", "openvino", "litert")
"""Runtimes whose Python package needs no training framework."""
_TEMPLATES = {"predict.py": "predict.py.j2", "README.md": "readme.md.j2"}


def write(folder: Path, out: Path) -> list[str]:
    """Write the example of an export into `out`, whole or not at all; return what is in it.

    A runtime without an example, a damaged export and a taken place are UserErrors.
    """
    subject = Subject.read(folder)
    exported = subject.exported
    if exported.target.runtime not in ALONE:
        raise UserError(
            f"{exported.target}: no example; Python packages of {', '.join(ALONE)} work alone, "
            f"that of {exported.target.runtime} does not, or is the device's own"
        )
    task = Task.open(exported.task, exported.classes, str(folder))
    _refuse_unready(task)
    if (fault := subject.damage(exported.bundle_sha256)) is not None:
        raise UserError(fault)
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: is there already; name another place or remove it")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder; make it first")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        _fill(partial, folder, exported, task)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sorted(path.name for path in out.iterdir())


def _refuse_unready(task: Task) -> None:
    """Refuse a task that has not the files which an example is made of."""
    for name in ("decoding", "told"):
        if importlib.util.find_spec(f"edgepress.tasks.{task.name}.{name}") is None:
            raise UserError(
                f"task {task.name}: no example without its {name}.py; docs/add_a_task.md"
            )


def _fill(out: Path, folder: Path, exported: Exported, task: Task) -> None:
    for file in exported.files:
        (out / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file.path, out / file.path)
    (out / "labels.txt").write_text("".join(f"{name}\n" for name in exported.classes))
    (out / "settings.json").write_text(json.dumps(_settings(exported, task), indent=2) + "\n")
    copy(_roots(task), out / "answering")
    environment = Environment(
        loader=PackageLoader("edgepress.example"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    package = PACKAGES[exported.target.runtime]
    version = versions([package])[package]
    no_cpp = cplusplus.why_not(exported)
    for name, template in _TEMPLATES.items():
        text = environment.get_template(template).render(
            exported=exported,
            spec=exported.input,
            covers=covered(exported.input),
            outputs=exported.part.outputs,
            package=package,
            version=version,
            parted=task.parts is not None,
            inside=task.inside is not None,
            no_cpp=no_cpp,
            cpp_decodes=cplusplus.decodes(task),
        )
        (out / name).write_text(text, encoding="utf-8")
    if no_cpp is None:
        cplusplus.write_cpp(exported, task, environment, out / "cpp")


def _roots(task: Task) -> list[str]:
    room = f"edgepress.tasks.{task.name}"
    roots = ["edgepress.data.preprocess", f"{room}.decoding", f"{room}.told"]
    if task.parts is not None:
        roots.append(f"{room}.parts")
    if task.inside is not None:
        roots.append(f"{room}.inside")
    return roots


def _settings(exported: Exported, task: Task) -> dict[str, Any]:
    """Return what the example's code reads in place of records."""
    part = exported.part
    return {
        "target": str(exported.target),
        "bundle_sha256": exported.bundle_sha256,
        "model": part.entry,
        "classes": exported.classes,
        "input": exported.input.model_dump(mode="json"),
        "task": task.entry,
        "given": [port.model_dump(mode="json") for port in part.inputs],
        "gives": [port.model_dump(mode="json") for port in part.outputs],
    }
