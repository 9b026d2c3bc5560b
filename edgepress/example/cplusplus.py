"""C++: an example's program for ONNX Runtime's C++ API, with libjpeg and libpng alone.

It is the Python program again, pixel for pixel: Pillow's resize is computed as Pillow does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from jinja2 import Environment

from edgepress.data.placement import LETTERBOX, covered
from edgepress.records.exported import Exported
from edgepress.tasks.task import Task

_ROOM = Path(__file__).parent / "cpp"
_SETTINGS = "settings.h"
_ANSWERS = "answers"
_UNDECODED = "undecoded"


def why_not(exported: Exported) -> str | None:
    """Say why an export has no program in C++; None where it has one."""
    if exported.target.runtime != "onnxruntime":
        return f"{exported.target.runtime} has none; targets of onnxruntime have"
    part = exported.part
    if any(port.layout != port.tensor.layout for port in (*part.inputs, *part.outputs)):
        return "the file's order of axes is not the network's"
    return None


def decodes(task: Task) -> bool:
    """Tell whether the program reads outputs of the task, else it writes them as they are."""
    return task.parts is None and _answer(task.name).is_file()


def write_cpp(exported: Exported, task: Task, environment: Environment, out: Path) -> None:
    """Write the program's sources and its CMakeLists.txt into a new folder `out`."""
    out.mkdir()
    for path in _ROOM.iterdir():
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    shutil.copyfile(_answer(task.name if decodes(task) else _UNDECODED), out / "answer.h")
    (port,) = exported.part.inputs
    text = environment.get_template(f"{_SETTINGS}.j2").render(
        exported=exported,
        spec=exported.input,
        port=port,
        outputs=exported.part.outputs,
        around=LETTERBOX,
        covers=covered(exported.input),
        inside=task.inside is not None,
        params=task.params,
        text=_literal,
    )
    (out / _SETTINGS).write_text(text, encoding="utf-8")


def _answer(name: str) -> Path:
    return _ROOM / _ANSWERS / f"{name}.h"


def _literal(text: str) -> str:
    """Return a string of C++: printable ASCII as it is, every other byte in octal."""
    plain = (chr(byte) if _is_plain(byte) else f"\\{byte:03o}" for byte in text.encode())
    return '"' + "".join(plain) + '"'


def _is_plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and chr(byte) not in '"\\?'
