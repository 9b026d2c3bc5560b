"""`edgepress doctor`: which exporters, runtimes and devices work here, and what the rest needs.

Every library is really imported, in a process of its own with a time limit: one that is installed
but broken, or that kills its process, is a row of the table and not the end of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from edgepress.devices import energy, host

Kind = Literal["exporter", "runtime", "device"]
_LIMIT_S = 300


@dataclass(frozen=True)
class Diagnosis:
    """One line of the table."""

    name: str
    kind: Kind
    works: bool
    version: str
    """Of the package, or what the device is; empty where there is none."""
    advice: str
    """What is wrong and what to install; empty where it works."""


@dataclass(frozen=True)
class Library:
    """An exporter or runtime: what must be importable, and where it can work at all."""

    name: str
    kind: Kind
    package: str
    """Distribution whose version is shown."""
    code: str
    """Statements that fail where the library is missing or broken."""
    install: str
    platforms: tuple[str, ...] = ("linux", "darwin")
    gpu: bool = False


_GPU = "proc/driver/nvidia/gpus/*/information"
_RTX = ("tensorrt-rtx-cu13-bindings", "import tensorrt_rtx_bindings")
_RTX_INSTALL = "tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"
_COREML = ("coremltools", "from edgepress.runtimes.coreml import library; library()")
# A plain import of OpenVINO writes into the home folder and reports its use.
_OPENVINO = "from edgepress.runtimes.openvino import library; library()"
_LITERT = "import litert_torch, ai_edge_quantizer"
_ONNX = "import onnx, onnxscript, torch.onnx"
_ORT_QUANTIZER = "import onnx, onnxruntime.quantization"
_EXECUTORCH = "import executorch.exir, torchao"
LIBRARIES: tuple[Library, ...] = (
    Library("onnx", "exporter", "onnx", _ONNX, "onnx onnxscript torch"),
    Library("openvino", "exporter", "nncf", f"{_OPENVINO}; import nncf", "openvino nncf"),
    Library("tflite", "exporter", "litert-torch", _LITERT, "litert-torch ai-edge-quantizer"),
    Library("coreml", "exporter", *_COREML, "coremltools"),
    Library("executorch", "exporter", "executorch", _EXECUTORCH, "executorch torchao"),
    Library("tensorrt_rtx", "exporter", *_RTX, _RTX_INSTALL, ("linux",)),
    Library("tensorrt", "exporter", "onnx", _ORT_QUANTIZER, "onnx onnxruntime"),
    Library("onnxruntime", "runtime", "onnxruntime", "import onnxruntime", "onnxruntime"),
    Library("openvino", "runtime", "openvino", _OPENVINO, "openvino"),
    Library(
        "litert", "runtime", "ai-edge-litert", "import ai_edge_litert.interpreter", "ai-edge-litert"
    ),
    Library("executorch", "runtime", "executorch", "import executorch.runtime", "executorch"),
    Library("coreml", "runtime", *_COREML, "coremltools", ("darwin",)),
    Library("tensorrt_rtx", "runtime", *_RTX, _RTX_INSTALL, ("linux",), gpu=True),
    Library("tensorrt", "runtime", "tensorrt", "import tensorrt", "tensorrt", ("linux",), gpu=True),
)


def diagnose(root: Path = host.ROOT) -> list[Diagnosis]:
    """Try every exporter and runtime in its own process, then describe the devices."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        rows = list(pool.map(lambda library: examine(library, root), LIBRARIES))
    return [*rows, *_devices(root)]


def examine(library: Library, root: Path = host.ROOT) -> Diagnosis:
    """Say whether one library works here, by importing it where that can mean something."""
    version = host.versions([library.package])[library.package] or ""
    advice = _obstacle(library, version, root) or _try(library.code)
    return Diagnosis(library.name, library.kind, not advice, version, advice)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; the exit code is 0 whatever works, since no host runs everything."""
    from rich.console import Console

    with Console(stderr=True).status("importing every exporter and runtime, a minute or so"):
        rows = diagnose()
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    else:
        _show(rows)
    return 0


def _obstacle(library: Library, version: str, root: Path) -> str:
    """Say what makes an import pointless, in the order in which a user would have to mend it."""
    if sys.platform not in library.platforms:
        return f"needs {' or '.join(library.platforms)}, this is {sys.platform}"
    if library.gpu and not any(root.glob(_GPU)):
        return "needs an NVIDIA GPU and its driver"
    return "" if version else f"not installed; pip install {library.install}"


def _try(code: str) -> str:
    """Run statements in a fresh process; return what went wrong in one line, else nothing."""
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"'{code}' took more than {_LIMIT_S} s; try again on a quieter machine"
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"'{code}' failed: {last}; install it anew"


def _devices(root: Path) -> Iterable[Diagnosis]:
    machine = host.here(root)
    vnni = "with VNNI" if machine.vnni else "without VNNI: u8 x s8 products may saturate"
    known = vnni if machine.architecture == "x86_64" else " ".join(machine.isa_flags)
    yield Diagnosis(machine.architecture, "device", True, f"{machine.machine}, {known}", "")
    gpu = any(root.glob(_GPU))
    yield Diagnosis("nvidia gpu", "device", gpu, "", "" if gpu else "no NVIDIA driver is loaded")
    for name, program in (("arm64", "qemu-aarch64-static"), ("old x86", "qemu-x86_64-static")):
        found = shutil.which(program)
        advice = "" if found else f"no {program}; apt install qemu-user-static"
        yield Diagnosis(f"{name}, emulated", "device", bool(found), found or "", advice)
    reading = energy.measure(lambda: sum(range(1000)), 1000, root)
    measured = reading.status == "measured"
    yield Diagnosis("energy counter", "device", measured, "", "" if measured else reading.reason)
    setting = host.governor(root)
    steady = setting in (None, "performance")
    advice = "" if steady else "times vary with the clock; cpupower frequency-set -g performance"
    yield Diagnosis(
        "clock governor", "device", steady, setting or "not shown by this kernel", advice
    )


def _show(rows: list[Diagnosis]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("kind", "name", "works", title="edgepress doctor")
    table.add_column("version", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for row in rows:
        works = "[green]yes[/]" if row.works else "[yellow]no[/]"
        table.add_row(row.kind, row.name, works, row.version, row.advice)
    Console().print(table)
