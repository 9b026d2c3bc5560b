"""False alarms: how often a gate of answers fails an export that has no fault.

For each task a small network of the tests learns made pictures; FP32 and INT8 are exported, and 200
times 120 of 360 test pictures are drawn anew, every tenth time with an INT8 by other calibration
pictures too. Draws share pictures, so that repeats are less than independent.
Whatever gate but latency, size and memory does not pass counts. A gate that weighs an interval
(drop, scores) fails by design where a healthy loss is not proven small; the rate says how often.
The interval of a rate is exact (Clopper and Pearson 1934, https://doi.org/10.1093/biomet/26.4.404);
with no alarm its upper end is 1.8 % at 200 repeats.
Run: python benchmarks/false_alarms.py [--repeats 200] [--quick] [--tasks TASK ...]
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from scipy.stats import beta

sys.path.insert(0, str(Path(__file__).parents[1]))

from edgepress.devices import energy, host
from edgepress.records.measurement import Measurement
from edgepress.records.reference import sampled
from edgepress.records.target import Target
from edgepress.records.tensors import Arrays
from edgepress.tasks.task import Task
from edgepress.validation.gates import Budget, Gates, judge
from edgepress.validation.parity import parity
from tests import pictured, shapes, spots
from tests.edgepress.validation.conftest import make_int8

ITEMS, CALIBRATING, CONFIDENCE, RENEWED = 120, 32, 0.95, 10
BUDGET = Budget(max_p99_ms=1e9, max_size_mb=1e9, max_peak_memory_mb=1e9)
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class Case:
    """A task with its learnt network, a bag of train pictures and many test pictures."""

    task: Task
    spec: Any
    model: Any
    train: Any
    test: Any
    gates: Gates


def bounds(scores: dict[str, float], class_score: float, drop: float = 0.05) -> Gates:
    """Return params.yaml's bounds of outputs, and these of scores."""
    return Gates(
        max_drop=drop,
        min_score=scores,
        min_class_score=class_score,
        max_error={"fp32": 0.001, "int8": 0.2},
        min_agreement={"fp32": 0.999, "int8": 0.97},
        min_speedup=1.0,
    )


def scene_case(word: str, scores: dict[str, float], pool: int) -> Case:
    """Learn one of the three tasks of scenes."""
    train, test = pictured.scenes(word, 160, 0), pictured.scenes(word, pool, 1)
    _, weights = pictured.learnt(word, train, 150, 100)
    model = pictured.graph(word, weights)
    return Case(pictured.TASKS[word], pictured.SPEC, model, train, test, bounds(scores, 0.5))


def detection_case(pool: int) -> Case:
    """Learn to find shapes; bounds of the fault tests, wider at INT8 than params.yaml's."""
    train, test = shapes.shapes(240, 0), shapes.shapes(pool, 1)
    _, weights = shapes.learnt(train, 0, 300, 240)
    gates = bounds({"mean_ap": 0.45}, 0.4).model_copy(
        update={
            "max_error": {"fp32": 0.001, "int8": 0.3},
            "min_agreement": {"fp32": 0.995, "int8": 0.9},
        }
    )
    return Case(shapes.TASK, shapes.SPEC, shapes.graph(weights), train, test, gates)


def keypoints_case(pool: int) -> Case:
    """Learn to find spots; bounds of the fault tests."""
    train, test = spots.spots(240, 0), spots.spots(pool, 1)
    _, weights = spots.learnt(train, 180, 240)
    gates = bounds({"pck": 0.9}, 0.8, 0.02).model_copy(
        update={"min_agreement": {"fp32": 0.999, "int8": 0.95}}
    )
    return Case(spots.TASK, spots.SPEC, spots.graph(weights), train, test, gates)


CASES: dict[str, Callable[[int], Case]] = {
    "classification": lambda pool: scene_case("classification", {"accuracy": 0.9}, pool),
    "multilabel": lambda pool: scene_case("multilabel", {"mean_ap": 0.9}, pool),
    "segmentation": lambda pool: scene_case("segmentation", {"mean_iou": 0.75}, pool),
    "detection": detection_case,
    "keypoints": keypoints_case,
}


def main() -> None:
    """Print each task's and precision's rate with its interval, and the gates that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--tasks", nargs="+", choices=sorted(CASES), default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="20 repeats")
    given = parser.parse_args()
    repeats = 20 if given.quick else given.repeats
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # the quantizer's advice
    print(f"{ITEMS} pictures a repeat, {repeats} repeats, alarms with a {CONFIDENCE:.0%} interval")
    for word in given.tasks:
        case = CASES[word](3 * ITEMS)
        for precision in PRECISIONS:
            failed = alarms(case, precision, repeats)
            count = sum(bool(each) for each in failed)
            low, high = exact(count, repeats)
            gates = Counter(gate for each in failed for gate in each)
            told = ", ".join(f"{gate} {number}" for gate, number in gates.most_common())
            line = f"{count:>3} of {repeats}  {count / repeats:6.1%} ({low:.1%} to {high:.1%})"
            print(f"{word:<15} {precision:<5} {line}  {told}", flush=True)


def alarms(case: Case, precision: str, repeats: int) -> list[set[str]]:
    """Return for each repeat the gates of answers that did not pass."""
    rng = np.random.default_rng(0)
    images = case.test.inputs()
    floats = answers(case, case.model, images)
    found, ours = [], floats
    for repeat in range(repeats):
        if precision == "int8" and repeat % RENEWED == 0:
            ours = answers(case, calibrated(case, rng), images)
        rows = rng.choice(len(images), ITEMS, replace=False)
        found.append(failing(case, precision, (ours, floats), rows))
    return found


def calibrated(case: Case, rng: np.random.Generator) -> Any:
    """Return the network in INT8 by calibration pictures drawn anew."""
    inputs = case.train.inputs()
    rows = rng.choice(len(inputs), CALIBRATING, replace=False)
    with tempfile.TemporaryDirectory() as scratch:
        return make_int8(case.model, inputs[rows], Path(scratch))


def answers(case: Case, model: Any, images: Any) -> Arrays:
    """Return a model's raw outputs for all images."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [each.name for each in case.task.answers.outputs(case.spec)]
    parts = zip(*(session.run(names, {"image": each[None]}) for each in images), strict=True)
    return {name: np.concatenate(part) for name, part in zip(names, parts, strict=True)}


def failing(case: Case, precision: str, both: tuple[Arrays, Arrays], rows: Any) -> set[str]:
    """Judge some of the pictures as `validate` does; return the gates that did not pass."""
    rules = case.task.answers
    raw, floats = ({name: values[rows] for name, values in each.items()} for each in both)
    mine, theirs = (rules.decode(each, case.spec) for each in (raw, floats))
    truth = {name: values[rows] for name, values in case.test.truth.items()}
    ids = tuple(map(str, rows))
    kept = list(sampled(ids, rules.outputs(case.spec)))
    outputs = ({name: values[kept] for name, values in each.items()} for each in (raw, floats))
    target = Target.parse(f"{sorted(host.here().devices)[0]}-onnxruntime-{precision}")
    measured = Measurement(
        target=target,
        exported_sha256="0" * 64,
        size_bytes=1,
        parity=parity(*outputs, rules.agreement(mine, theirs)),
        scores=rules.score(mine, theirs, truth, CONFIDENCE),
        latency=None,
        peak_memory_mb=1.0,
        energy=energy.unavailable("not timed"),
        conditions=host.conditions({}, None),
        not_run={"latency": "not timed"},
    )
    verdicts = judge(measured, case.gates, BUDGET, target).verdicts
    timed = {"latency", "size", "memory"}
    return {each.gate for each in verdicts if each.outcome != "pass"} - timed


def exact(count: int, trials: int) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share."""
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, count, trials - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, trials - count)) if count < trials else 1.0
    return low, high


if __name__ == "__main__":
    main()
