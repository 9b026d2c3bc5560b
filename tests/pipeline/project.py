"""Small copies of the project that the real pipeline runs in, one for each task."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from dvc.repo import Repo
from PIL import Image

from edgepress.commands.preset import merge

ROOT = Path(__file__).parents[2]
ONNX_TARGETS = ("x86_64-onnxruntime-fp32", "x86_64-onnxruntime-int8")
COREML_TARGETS = ("apple-coreml-fp32", "apple-coreml-int8")
TARGETS = (*ONNX_TARGETS, *COREML_TARGETS)
SMALL = {
    "input": {"height": 8, "width": 8},
    "embed": {"width": 4, "epochs": 1},
    "train": {
        "backbone": {"depth": 8, "width": 16},
        "recipe": {"epochs": 4, "augment": "none"},
    },
    "distill": {"backbone": {"width": 8}, "recipe": {"epochs": 4}},
    "slim": {"round_to": 2, "epochs": 2},
    "quantize": {"int8": {"images": 32}},
    "validate": {"runs": 1000},
    "places": ["x86_64-onnxruntime", "apple-coreml"],
    "budgets": {"default": {"max_p99_ms": 500.0}},
    "gates": {
        "max_drop": 0.2,
        "min_score": {"accuracy": 0.5, "balanced_accuracy": 0.5},
        "min_class_score": 0.0,
        "max_error": {"int8": 0.5},
        "min_agreement": {"int8": 0.8},
    },
}

DISCS = {
    "project": "discs",
    "task": {"method": "segmentation", "ignore_index": None, "argmax": False},
    "ingest": {
        "source": {
            "method": "masks",
            "path": "data/discs/images",
            "masks": "data/discs/masks",
            "classes": ["background", "disc"],
            "above_zero": True,
        },
        "split": {"val": 0.15, "test": 0.3},
    },
    "input": {"height": 32, "width": 32, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3},
    "train": {
        "backbone": {"depth": 8, "width": 12},
        "head": {"method": "unet", "width": 12},
        "recipe": {"epochs": 8, "batch": 8, "learning_rate": 0.05, "augment": "flip_shift"},
    },
    "distill": {
        "backbone": {"width": 8},
        "head": {"method": "unet", "width": 8},
        "recipe": {"epochs": 8, "batch": 8, "learning_rate": 0.05},
    },
    "slim": {"batch": 8, "epochs": 3},
    "places": ["x86_64-onnxruntime"],
    "gates": {
        "min_score": {
            "mean_iou": 0.5,
            "mean_dice": 0.6,
        },
    },
}


SCENES = {
    "project": "scenes",
    "task": {
        "method": "detection",
        "strides": [4, 8],
        "most_objects": 4,
        "most_answers": 20,
        "least_score": 0.05,
        "overlap": 0.6,
        "sure": 0.4,
        "tiles": {"overlap": 0.2, "whole": True},  # every picture fits: answered as ever
    },
    "ingest": {
        "source": {
            "method": "digit_scenes",
            "scenes": 600,
            "side": 32,
            "least": 0,
            "most": 2,
            "digits": [0, 1, 4],
        },
    },
    "input": {"height": 32, "width": 32},
    "train": {
        "backbone": {"depth": 8, "width": 8},
        "head": {"method": "decoupled", "width": 16, "depth": 1},
        "recipe": {"epochs": 10, "batch": 8, "learning_rate": 0.05},
    },
    "distill": {
        "backbone": {"width": 8},
        "head": {"method": "decoupled", "width": 12, "depth": 1},
        "recipe": {
            "epochs": 10,
            "batch": 8,
            "learning_rate": 0.05,
            "temperature": 1.0,
            "weight": 0.5,
        },
    },
    "slim": {"batch": 8, "epochs": 4, "learning_rate": 0.02},
    "places": ["x86_64-onnxruntime"],
    "gates": {
        "min_score": {"mean_ap": 0.05, "mean_ap_50": 0.2},
        "max_error": {"int8": 0.5},
        "min_agreement": {"fp32": 0.99, "int8": 0.8},
    },
}


@dataclass(frozen=True)
class Project:
    """A working copy and the ways to run things in it."""

    folder: Path

    def run(self, *command: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        """Run a command of the virtual environment in the copy."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def start(self, *command: str, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a command in a group of its own, to be killed."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )

    def await_checkpoint(self, training: subprocess.Popen[bytes], timeout: float = 120) -> None:
        """Wait until a started training has left a checkpoint; one that ended fails the test."""
        deadline = time.monotonic() + timeout
        checkpoints = self.folder / ".edgepress" / "checkpoints"
        while not list(checkpoints.glob("train-*/checkpoint.safetensors")):
            assert training.poll() is None, "the training ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def repro(self, *arguments: str) -> str:
        """Run `dvc repro` and return its output; a failure fails the test with all of it."""
        done = self.run("dvc", "repro", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run_all(self) -> None:
        """Run the whole graph once as `dvc repro` would, in half the time (see forked.py)."""
        done = self.run(sys.executable, "-m", "tests.pipeline.forked")
        assert done.returncode == 0, done.stdout + done.stderr

    def stale(self) -> set[str]:
        """Return the stages of which something of their own changed, as `dvc status` names them.

        The stage `state` always runs first; what it writes is what the others are compared with.
        """
        done = self.run(sys.executable, "-m", "stages.state")
        assert done.returncode == 0, done.stderr
        with contextlib.chdir(self.folder), Repo() as repo:
            return set(repo.status()) - {"state"}

    def copy(self, folder: Path) -> Project:
        """Return a copy to work on; its registry keeps its files where the original keeps them."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def params(self) -> dict[str, Any]:
        """Return params.yaml as it stands."""
        loaded: dict[str, Any] = yaml.safe_load((self.folder / "params.yaml").read_text())
        return loaded

    def change(self, **preset: Any) -> None:
        """Merge values into params.yaml."""
        path = self.folder / "params.yaml"
        path.write_text(merge(path.read_text(), preset, "test"))


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a started command with all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment() -> dict[str, str]:
    """Put this interpreter's commands first, and let nothing outside redirect the registry."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "PYTHONPATH")}
    return {**kept, "PATH": path}


def copy_project(folder: Path) -> Project:
    """Copy the files git would commit, make the networks small and keep four targets."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    project = Project(folder)
    project.change(**SMALL)
    return project


def copy_discs(folder: Path) -> Project:
    """Copy the project, draw its pictures and masks, and make it segment them."""
    project = copy_project(folder)
    draw_discs(folder / "data" / "discs", 120)
    project.change(**DISCS)
    return project


def copy_scenes(folder: Path) -> Project:
    """Copy the project and make it find digits on canvases."""
    project = copy_project(folder)
    project.change(**SCENES)
    return project


def draw_discs(folder: Path, count: int) -> None:
    """Write bright discs over noise as images/NNN.png, and masks/NNN.png that number the discs."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        mask = np.zeros((32, 32), np.uint8)
        for number in range(1, 1 + rng.integers(1, 4)):
            row, column, radius = *rng.integers(4, 28, 2), rng.integers(3, 8)
            mask[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = number
        picture = rng.integers(0, 90, (32, 32, 3)) + 110 * (mask > 0)[..., None]
        Image.fromarray(picture.astype(np.uint8)).save(folder / "images" / f"{index:03}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index:03}.png")
