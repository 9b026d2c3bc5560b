"""Manifests with planted faults; great-expectations runs for real (its import takes 8 s)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from edgepress.data.checking import check_manifest
from edgepress.data.rules import Limits, PerSplit
from edgepress.data.suite import Expectation, Rule, run_suite
from edgepress.data.table import writing
from edgepress.errors import UserError
from edgepress.params import validate
from edgepress.records.findings import Findings
from edgepress.records.manifest import SPLITS, Manifest

LIMITS = Limits(
    min_side=8,
    max_side=64,
    channels=(1, 3),
    min_per_class=PerSplit(train=2, val=2, test=2),
    max_quarantined=0.1,
    max_class_imbalance=2.0,
    near_duplicate_bits=2,
)
Row = dict[str, Any]


def sound_rows() -> list[Row]:
    """Four images of each of two classes in each split, all unlike."""
    rows = []
    for number in range(24):
        rows.append(
            {
                "id": f"image/{number:02}",
                "path": f"{number}.png",
                "group": None,
                "split": SPLITS[number % 3],
                "label": number // 3 % 2,
                "classes": [number // 3 % 2],
                "width": 16,
                "height": 16,
                "channels": 3,
                "mode": "RGB",
                "sha256": f"{number:064x}",
                "phash": (number * 0x9E3779B97F4A7C15) % 2**64,
                "status": "ok",
                "reason": "",
            }
        )
    return rows


def write_manifest(rows: list[Row], folder: Path) -> Path:
    folder.mkdir()
    with writing(folder, pa.int32()) as table:
        for row in rows:
            table.add(row)
    usable = [row for row in rows if row["status"] == "ok"]
    counts = {
        split: {
            name: sum(r["split"] == split and r["label"] == label for r in usable)
            for label, name in enumerate(("cat", "dog"))
        }
        for split in SPLITS
    }
    Manifest(
        task={"method": "classification"},
        items={split: sum(r["split"] == split for r in usable) for split in SPLITS},
        source="folder",
        container="file",
        column=None,
        inside=False,
        classes=("cat", "dog"),
        counts=counts,
        quarantined={},
        table_sha256="0" * 64,
        images_sha256=None,
    ).write(folder)
    return folder


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Findings]:
    def run(change: Callable[[list[Row]], object], limits: Limits = LIMITS) -> Findings:
        rows = sound_rows()
        change(rows)
        folder = write_manifest(rows, tmp_path / "manifest")
        return check_manifest(folder, limits, tmp_path / "check")

    return run


def quarantine(rows: list[Row], count: int) -> None:
    for row in rows[:count]:
        row.update(status="quarantined", reason="corrupt: cut off", width=None, phash=None)


def failed(findings: Findings) -> dict[str, tuple[str, ...]]:
    return {f.rule: f.examples for f in findings.findings if not f.passed}


def test_sound_manifest_passes_every_rule(check: Callable[..., Findings], tmp_path: Path) -> None:
    findings = check(lambda rows: None)
    assert failed(findings) == {}
    assert findings.images == 24
    assert Findings.read(tmp_path / "check") == findings
    assert (tmp_path / "check/offending.csv").read_text().split() == ["rule,severity,id,value"]


def of_values(rows: list[Row]) -> None:
    rows[0]["width"] = 7
    rows[1]["height"] = 65
    rows[2]["channels"] = 4
    rows[3]["classes"] = [2]
    rows[4]["split"] = "dev"


def of_copies(rows: list[Row]) -> None:
    rows[3]["id"] = "image/05"
    rows[1].update(sha256=rows[8]["sha256"], label=rows[8]["label"])
    rows[9]["sha256"] = rows[6]["sha256"]
    rows[18]["sha256"] = rows[12]["sha256"]
    rows[7]["phash"] = rows[4]["phash"] ^ 0b11
    rows[13]["phash"] = rows[10]["phash"] ^ 0b111  # one bit too far


def of_parts(rows: list[Row]) -> None:
    for number in (1, 4, 7, 10):  # of val: three parts of one file, of which one stands there twice
        rows[number].update(sha256=rows[1]["sha256"], crop=[number, 0, 20, 20], group="1.png")
    rows[10]["crop"] = rows[7]["crop"]
    rows[10]["phash"] = rows[7]["phash"]
    rows[4]["phash"] = rows[1]["phash"] ^ 0b11
    rows[8].update(sha256=rows[5]["sha256"], crop=[0, 0, 9, 9])
    rows[12].update(sha256=rows[5]["sha256"], crop=[5, 5, 9, 9])


def of_leaks(rows: list[Row]) -> None:
    for number in (0, 3, 4):
        rows[number]["group"] = "patient 7"
    for number in (6, 9):
        rows[number]["group"] = "patient 8"
    rows[5]["phash"] = rows[1]["phash"] ^ 0b11
    rows[11]["phash"] = rows[2]["phash"] ^ 0b1  # in its own split
    rows[23]["phash"] = rows[22]["phash"] ^ 0b111  # one bit too far


def of_classes(rows: list[Row]) -> None:
    for row in rows[0:16:6]:
        row["label"] = 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            of_values,
            {
                "width": ("image/00 (7)",),
                "height": ("image/01 (65)",),
                "channels": ("image/02 (4)",),
                "known_label": ("image/03 (2)",),
                "known_split": ("image/04 (dev)",),
            },
        ),
        (
            of_copies,
            {
                "unique_id": ("image/05 (image/05)", "image/05 (image/05)"),
                "same_file_in_two_splits": (
                    "image/01 (image/08 in test)",
                    "image/08 (image/01 in val)",
                ),
                "same_file_twice": (
                    "image/09 (image/06 in train)",
                    "image/18 (image/12 in train)",
                ),
                "same_file_two_labels": (
                    "image/06 (image/09 in train)",
                    "image/09 (image/06 in train)",
                ),
                "near_duplicate": ("image/07 (image/04 in val)",),
            },
        ),
        (
            of_parts,
            {
                "same_file_in_two_splits": (
                    "image/05 (image/12 in train)",
                    "image/08 (image/12 in train)",
                    "image/12 (image/05 in test)",
                ),
                "same_file_twice": ("image/10 (image/07 in val)",),
                "same_file_two_labels": (
                    "image/07 (image/10 in val)",
                    "image/10 (image/07 in val)",
                ),
                "near_duplicate": ("image/04 (image/01 in val)",),
            },
        ),
        (
            of_leaks,
            {
                "group_in_two_splits": (
                    "image/00 (image/04 in val)",
                    "image/03 (image/04 in val)",
                    "image/04 (image/00 in train)",
                ),
                "near_duplicate": ("image/05 (image/01 in val)", "image/11 (image/02 in test)"),
                "near_duplicate_in_two_splits": (
                    "image/01 (image/05 in test)",
                    "image/05 (image/01 in val)",
                ),
            },
        ),
        (
            of_classes,
            {"min_per_class": ("train/cat (1)",), "class_balance": ("train/cat (7.0)",)},
        ),
        (
            lambda rows: quarantine(rows, 2),
            {"decodes": ("image/00 (corrupt: cut off)", "image/01 (corrupt: cut off)")},
        ),
    ],
    ids=["values", "copies", "parts", "leaks", "classes", "quarantine"],
)
def test_fault_is_found_and_named(
    change: Any, expected: dict[str, tuple[str, ...]], check: Callable[..., Findings]
) -> None:
    assert failed(check(change)) == expected


def test_too_many_quarantined_images_are_critical(check: Callable[..., Findings]) -> None:
    findings = check(lambda rows: quarantine(rows, 3))
    assert [f.rule for f in findings.failed("critical")] == ["few_quarantined"]
    assert [f.rule for f in findings.failed("warning")] == ["decodes"]


def test_hashes_keep_all_bits_beside_quarantined_rows(check: Callable[..., Findings]) -> None:
    def change(rows: list[Row]) -> None:
        quarantine(rows, 1)
        rows[7]["phash"] = rows[4]["phash"] ^ 0b1111  # equal as floats, 4 bits apart

    assert "near_duplicate" not in failed(check(change))


def test_leaks_that_were_quarantined_are_no_images_that_cannot_be_used(
    check: Callable[..., Findings],
) -> None:
    def change(rows: list[Row]) -> None:
        for row in rows[::12]:
            row.update(status="quarantined", reason="leak: copy of image/01 in val")
            row.update(sha256=rows[1]["sha256"], phash=rows[1]["phash"])

    findings = check(change, LIMITS.model_copy(update={"max_quarantined": 0.0}))
    assert findings.images == 22
    assert failed(findings) == {}


@pytest.mark.parametrize("leak", ["refuse", "warn"])
def test_leaks_are_critical_or_warnings_as_the_limits_say(
    leak: str, check: Callable[..., Findings]
) -> None:
    def change(rows: list[Row]) -> None:
        rows[1].update(sha256=rows[8]["sha256"], phash=rows[8]["phash"])
        rows[3]["group"] = rows[4]["group"] = "a"
        rows[5]["phash"] = rows[0]["phash"]

    findings = check(change, LIMITS.model_copy(update={"leak": leak}))
    both = ["same_file_in_two_splits", "group_in_two_splits"]
    near = ["near_duplicate", "near_duplicate_in_two_splits"]
    critical = [f.rule for f in findings.failed("critical")]
    warnings = [f.rule for f in findings.failed("warning")]
    assert critical == (both if leak == "refuse" else [])
    assert warnings == (near if leak == "refuse" else near + both)


def test_near_duplicates_are_not_sought_when_the_limit_is_null(
    check: Callable[..., Findings],
) -> None:
    findings = check(
        lambda rows: rows[7].update(phash=rows[4]["phash"]),
        LIMITS.model_copy(update={"near_duplicate_bits": None}),
    )
    assert failed(findings) == {}


def test_every_offending_row_is_listed(check: Callable[..., Findings], tmp_path: Path) -> None:
    check(lambda rows: [row.update(width=3) for row in rows])
    with (tmp_path / "check/offending.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"image/{number:02}" for number in range(24)]
    assert {(row["rule"], row["severity"], row["value"]) for row in rows} == {
        ("width", "critical", "3")
    }


def test_data_docs_load_nothing_and_run_nothing(
    check: Callable[..., Findings], tmp_path: Path
) -> None:
    check(lambda rows: rows[0].update(width=7, id="<script>"))
    docs = tmp_path / "check/docs"
    index = (docs / "index.html").read_text()
    assert "&lt;script&gt; (7)" in index
    links = re.findall(r'href="([^"]+)"', index)
    assert len(links) == 3
    assert all((docs / link).is_file() for link in links)
    pages = list(docs.rglob("*.html"))
    assert len(pages) == 7
    for page in pages:
        policy = re.search(r"<head>\s*<meta ([^>]*)>", page.read_text())
        assert policy is not None, page
        assert "Content-Security-Policy" in policy[1]
        assert "default-src 'none'" in policy[1]
        assert "script-src" not in policy[1]


def test_rule_that_cannot_be_evaluated_is_our_error(tmp_path: Path) -> None:
    rule = Rule("wrong", "Says.", "critical", "f", Expectation("ExpectColumnValuesToBeNull", "no"))
    with pytest.raises(RuntimeError, match="rule wrong"):
        run_suite({"f": pd.DataFrame({"id": ["a"]})}, [rule], tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_side": 0}, "check.min_side"),
        ({"min_side": 65}, "min_side 65 is above max_side 64"),
        ({"channels": [2]}, "check.channels.0"),
        ({"channels": []}, "check.channels"),
        ({"max_class_imbalance": 0.5}, "check.max_class_imbalance"),
        ({"max_quarantined": 1.0}, "check.max_quarantined"),
        ({"near_duplicate_bits": 17}, "check.near_duplicate_bits"),
        ({"leak": "move"}, "check.leak: Input should be 'refuse' or 'warn' .got 'move'"),
        ({"min_per_class": {"train": 1, "val": 1}}, "check.min_per_class.test: missing"),
    ],
)
def test_limits_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    raw = LIMITS.model_dump(mode="json") | change
    with pytest.raises(UserError, match=message):
        validate(Limits, raw, "params.yaml", "check")
