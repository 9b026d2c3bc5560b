"""Fingerprints: one small file per tool that changes when that tool or the instruction set does.

A stage lists the files of the tools it uses as dependencies, so that a new version of OpenVINO
makes OpenVINO's variants stale and no other. Nothing in them moves by itself: no clock, no load.
Run as `python -m edgepress.devices.fingerprint FOLDER`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgepress.devices import host
from edgepress.records.record import write_atomically

TOOLS: dict[str, tuple[str, ...]] = {
    "torch": ("torch", "torchvision", "timm", "torch-pruning"),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "openvino": ("openvino", "nncf"),
    "tflite": ("ai-edge-litert", "ai-edge-quantizer", "litert-torch"),
    "coreml": ("coremltools",),
    "executorch": ("executorch", "torchao"),
    "tensorrt_rtx": ("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu13-libs", "onnx"),
    "tensorrt": ("tensorrt", "onnx", "onnxruntime"),
    "curation": ("numpy",),
}
"""Tool -> the packages whose versions can change what it makes; an exporter's name is the key."""


def record(folder: Path) -> list[Path]:
    """Write FOLDER/<tool>.json for every tool and return those whose content changed."""
    machine = host.here()
    changed = []
    for tool, packages in TOOLS.items():
        content = {
            "tool": tool,
            "machine": machine.machine,
            "architecture": machine.architecture,
            "isa_flags": machine.isa_flags,
            "emulated": machine.emulated,
            "packages": host.versions(packages),
        }
        path = folder / f"{tool}.json"
        text = json.dumps(content, indent=2) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
            changed.append(path)
    return changed


def main(arguments: list[str]) -> int:
    """Record into the one folder named on the command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m edgepress.devices.fingerprint FOLDER\n")
        return 2
    record(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
