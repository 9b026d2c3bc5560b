"""ResNet-20 on CIFAR-10: the pipeline's loop and timm's own train.py, the same few epochs.

Published (https://arxiv.org/abs/1512.03385, table 6): 91.25 % after 164 epochs of 50,000 pictures,
92.6 % by later trainings of 200 (pytorch-cifar-models). Both sides train the same network from
the same seed on all training pictures, by the paper's recipe with its rates falling at the same
shares of the run: SGD at 0.1, momentum 0.9, decay 0.0001, batches of 128, a tenth of the rate after
half and after three quarters. Ours moves pictures by up to four pixels, as the paper does; timm's
script has no such shift and crops 0.7 to 1 of the area instead. Judged on the 10,000 test pictures
by the last weights, one thread each.

Epochs are a multiple of four, so that both fall between two.
Run: python benchmarks/resnet20.py DATA ours [--epochs 164] or ... DATA timm --timm FOLDER
DATA has train.parquet and test.parquet (image: bytes, label); FOLDER has timm's train.py.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import nn

from edgepress.bundles.network import Blueprint, build
from edgepress.data.preprocess import decode
from edgepress.methods import resolve
from edgepress.records.inputs import InputSpec
from edgepress.tasks.task import Task
from edgepress.training.answering import answers
from edgepress.training.examples import Examples
from edgepress.training.loop import Job

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
SPEC = InputSpec(height=32, width=32, channels=3, mean=MEAN, std=STD)
TASK = Task.open({"method": "classification"}, tuple("0123456789"), "benchmark")
ENTRIES = ({"method": "resnet_cifar", "depth": 20, "width": 16}, {"method": "linear"})
NAME = "resnet20_cifar"


def examples(path: Path) -> Examples:
    """Decode all pictures of a Parquet file."""
    table = pq.read_table(path)
    pixels = [decode(row["bytes"], SPEC) for row in table["image"].to_pylist()]
    return Examples(np.stack(pixels), {"label": table["label"].to_numpy()}, SPEC)


def ours(data: Path, epochs: int, seed: int, precision: str) -> float:
    """Train by the pipeline's loop; return the accuracy on test."""
    torch.manual_seed(seed)
    network = build(Blueprint(*ENTRIES, SPEC, TASK.learner.outputs(SPEC)))
    recipe: dict[str, Any] = {
        "method": "supervised", "epochs": epochs, "batch": 128, "learning_rate": 0.1,
        "weight_decay": 0.0001, "label_smoothing": 0.0, "augment": "flip_shift",
        "optimizer": {"method": "sgd", "momentum": 0.9, "nesterov": False},
        "schedule": {"method": "step", "warmup": 0.0, "at": [0.5, 0.75], "factor": 0.1},
        "precision": precision,
    }  # fmt: skip
    job = Job(network, examples(data / "train.parquet"), None, seed, TASK)
    resolve("training", recipe, "benchmark", "recipe")(job)
    test = examples(data / "test.parquet")
    return float((answers(network, test, TASK)["label"] == test.truth["label"]).mean())


def timm(data: Path, epochs: int, seed: int, precision: str, source: Path) -> float:
    """Train by timm's script, which judges on test; return the last epoch's accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        for split, into in (("train", "train"), ("test", "validation")):
            _write(data / f"{split}.parquet", Path(folder, into))
        told = ["--data-dir", folder, "--model", NAME, "--num-classes", "10", "--device", "cpu"]
        told += ["--img-size", "32", "--mean", *map(str, MEAN), "--std", *map(str, STD)]
        told += ["--crop-pct", "1.0", "--opt", "momentum", "--momentum", "0.9", "--lr", "0.1"]
        told += ["--weight-decay", "0.0001", "--sched", "multistep", "--decay-rate", "0.1"]
        # timm looks an epoch ahead: milestone 5 is the fall before the fifth epoch.
        told += ["--decay-milestones", str(epochs // 2 + 1), str(epochs * 3 // 4 + 1)]
        told += ["--epochs", str(epochs), "--warmup-epochs", "0", "--cooldown-epochs", "0"]
        told += ["--scale", "0.7", "1.0", "--ratio", "1", "1", "--color-jitter", "0"]
        told += ["--batch-size", "128", "--workers", "1", "--seed", str(seed)]
        told += ["--output", folder, "--experiment", "run"]
        told += ["--amp", "--amp-dtype", "bfloat16"] if precision == "bf16" else []
        subprocess.run([sys.executable, __file__, "script", str(source), *told], check=True)
        with Path(folder, "run", "summary.csv").open() as file:
            rows = list(csv.DictReader(file))
    return float(rows[-1]["eval_top1"]) / 100


def script(source: Path, told: list[str]) -> None:
    """Run timm's train.py in this process with the network under a name it can ask for."""
    from timm.models import register_model

    def resnet20_cifar(pretrained: bool = False, **_: object) -> nn.Module:
        network = build(Blueprint(*ENTRIES, SPEC, TASK.learner.outputs(SPEC)))
        vars(network).update(num_classes=10, pretrained_cfg={"input_size": (3, 32, 32)})
        return network

    register_model(resnet20_cifar)
    sys.argv = [str(source / "train.py"), *told]
    runpy.run_path(sys.argv[0], run_name="__main__")


def _write(path: Path, folder: Path) -> None:
    """Write the pictures as they are, a folder a class."""
    table = pq.read_table(path)
    rows = zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True)
    for index, (image, label) in enumerate(rows):
        into = folder / str(label)
        into.mkdir(parents=True, exist_ok=True)
        (into / f"{index:05}.jpg").write_bytes(image["bytes"])


def main() -> None:
    """Train by one side and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("who", choices=("ours", "timm"))
    parser.add_argument("--timm", type=Path, help="folder of timm's train.py")
    parser.add_argument("--epochs", type=int, default=164)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    shared = (args.data, args.epochs, args.seed, args.precision)
    started = time.perf_counter()
    accuracy = ours(*shared) if args.who == "ours" else timm(*shared, args.timm)
    took = {"accuracy": accuracy, "seconds": round(time.perf_counter() - started)}
    print(json.dumps({"who": args.who, **took, "epochs": args.epochs, "seed": args.seed}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["script"]:
        script(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
