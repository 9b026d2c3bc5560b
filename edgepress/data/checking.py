"""Checking: hold a manifest against its rules before anything is trained on it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from edgepress.data.data_docs import make_offline, write_index
from edgepress.data.duplicates import looks_like, looks_like_across
from edgepress.data.rules import Limits, rules
from edgepress.data.suite import RuleResult, run_suite
from edgepress.data.table import read_table
from edgepress.records.findings import DOCS, OFFENDING, Finding, Findings
from edgepress.records.manifest import LEAK, Manifest

_EXAMPLES = 5
_SHOWN = ["sha256", "crop"]
"""Columns that say what an item shows."""


def check_manifest(folder: Path, limits: Limits, out: Path) -> Findings:
    """Check the manifest in `folder`; write check.json, offending.csv and Data Docs into `out`."""
    manifest = Manifest.read(folder)
    frames = _frames(folder, manifest, limits)
    out.mkdir(parents=True, exist_ok=True)
    outcomes = run_suite(frames, rules(manifest, limits), out / DOCS)
    _write_offending(outcomes, out / OFFENDING)
    findings = Findings(
        manifest_sha256=manifest.table_sha256,
        images=len(frames["usable"]),
        findings=tuple(map(_finding, outcomes)),
    )
    make_offline(out / DOCS)
    write_index(out / DOCS, findings)
    findings.write(out)
    return findings


def _frames(folder: Path, manifest: Manifest, limits: Limits) -> dict[str, Any]:
    table = read_table(folder)
    # Filtered before pandas sees it: a column with nulls would become float and lose hash bits.
    kept = table.filter(pc.equal(table["status"], "ok"))
    usable = kept.drop_columns(["label", "classes", "crop"]).to_pandas()
    usable["crop"] = [str(crop) for crop in kept["crop"].to_pylist()]
    usable["label"] = [json.dumps(label) for label in kept["label"].to_pylist()]
    usable["highest_class"] = [max(mine, default=0) for mine in kept["classes"].to_pylist()]
    for column, values in _copies(usable).items():
        usable[column] = values
    usable["group_elsewhere"] = _elsewhere(usable)
    if limits.near_duplicate_bits is not None:
        usable["looks_like"] = _twins(usable, limits.near_duplicate_bits)
        usable["like_in_other_split"] = _twins_across(usable, limits.near_duplicate_bits)
    everything = table.select(["id", "reason"]).to_pandas()
    # A leak that was quarantined by choice is no image that cannot be used.
    everything.loc[everything["reason"].str.startswith(LEAK), "reason"] = ""
    return {
        "all": everything,
        "usable": usable,
        "classes": _classes(manifest, limits),
    }


def _classes(manifest: Manifest, limits: Limits) -> Any:
    import pandas as pd

    fewest = limits.min_per_class.model_dump()
    rows = []
    for split, per_class in manifest.counts.items():
        largest = max(per_class.values())
        for name, images in per_class.items():
            missing = max(0, fewest[split] - images)
            imbalance = round(largest / max(images, 1), 2)
            rows.append((f"{split}/{name}", images, missing, imbalance))
    return pd.DataFrame(rows, columns=["id", "images", "missing", "imbalance"])


def _copies(usable: Any) -> dict[str, list[str | None]]:
    """Name for each image the first copy of its file elsewhere, in its split, by another label.

    In its own split only the copies after the first are marked. Two parts of one file are no copies
    of each other, but may not be in two splits.
    """
    names = ("in_other_split", "in_same_split", "with_other_label")
    found: dict[str, list[str | None]] = {name: [None] * len(usable) for name in names}
    for rows in _alike(usable, ["sha256"]):
        splits = {row.split: row for row in reversed(rows)}
        for row in rows:
            found["in_other_split"][row.Index] = _first_other(splits, row.split)
    for rows in _alike(usable, _SHOWN):
        splits = {row.split: row for row in reversed(rows)}
        labels = {row.label: row for row in reversed(rows)}
        for row in rows:
            same = splits[row.split]
            found["in_same_split"][row.Index] = None if same.Index == row.Index else _place(same)
            found["with_other_label"][row.Index] = _first_other(labels, row.label)
    return found


def _alike(usable: Any, columns: list[str]) -> Iterator[list[Any]]:
    """Yield the rows that have the same in some columns, where there are several."""
    for _, group in usable[usable.duplicated(columns, keep=False)].groupby(columns):
        yield list(group.itertuples())


def _first_other(rows: dict[Any, Any], own: Any) -> str | None:
    others = [row for key, row in rows.items() if key != own]
    return _place(min(others, key=lambda row: row.Index)) if others else None


def _elsewhere(usable: Any) -> list[str | None]:
    """Name for each image the first one of its group that is in another split."""
    found: list[str | None] = [None] * len(usable)
    crossing = usable.groupby("group")["split"].transform("nunique") > 1
    for _, group in usable[crossing].groupby("group"):
        rows = list(group.itertuples())
        splits = {row.split: row for row in reversed(rows)}
        for row in rows:
            found[row.Index] = _first_other(splits, row.split)
    return found


def _place(row: Any) -> str:
    return f"{row.id} in {row.split}"


def _twins(usable: Any, bits: int) -> list[str | None]:
    """Name for each image the first it looks like; copies of one file are no twins."""
    files = usable.drop_duplicates(_SHOWN)
    found = looks_like(files["phash"].to_numpy(np.uint64), bits)
    names = (files["id"] + " in " + files["split"]).tolist()
    shown = zip(zip(files["sha256"], files["crop"], strict=True), found, strict=True)
    twin = {key: names[i] for key, i in shown if i >= 0}
    return [twin.get(key) for key in zip(usable["sha256"], usable["crop"], strict=True)]


def _twins_across(usable: Any, bits: int) -> list[str | None]:
    """Name for each image the first of another split that it looks like, copies of files apart."""
    numbers, _ = usable["split"].factorize()
    found = looks_like_across(usable["phash"].to_numpy(np.uint64), numbers, bits)
    names = (usable["id"] + " in " + usable["split"]).tolist()
    copied = usable["in_other_split"].notna()
    return [
        names[i] if i >= 0 and not copy else None for i, copy in zip(found, copied, strict=True)
    ]


def _finding(outcome: RuleResult) -> Finding:
    rule = outcome.rule
    examples = (f"{name} ({value})" for name, value in outcome.offending[:_EXAMPLES])
    return Finding(
        rule=rule.name,
        says=rule.says,
        severity=rule.severity,
        passed=outcome.passed,
        offending=len(outcome.offending),
        examples=tuple(examples),
    )


def _write_offending(outcomes: list[RuleResult], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rule", "severity", "id", "value"])
        for outcome in (outcome for outcome in outcomes if not outcome.passed):
            for name, value in outcome.offending:
                writer.writerow([outcome.rule.name, outcome.rule.severity, name, value])
