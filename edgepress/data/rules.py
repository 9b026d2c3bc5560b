"""The rules of a manifest, as expectations on three frames: all rows, usable ones, classes."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from edgepress.data.suite import Expectation, Rule
from edgepress.params import Config
from edgepress.records.manifest import SPLITS, Manifest


class PerSplit(Config):
    """A number of images for each split."""

    train: int = Field(ge=1)
    """Training images of each class."""
    val: int = Field(ge=1)
    """Validation images of each class."""
    test: int = Field(ge=1)
    """Test images of each class."""


class Limits(Config):
    """What the rules allow; those marked as warning are reported and do not stop the run."""

    min_side: int = Field(ge=1)
    """Smallest width and height, pixels."""
    max_side: int = Field(ge=1)
    """Largest width and height, pixels."""
    channels: tuple[Literal[1, 3], ...] = Field(min_length=1)
    """Allowed numbers of channels once converted: 1 is grey, 3 is colour."""
    min_per_class: PerSplit
    """Fewest usable images of every class."""
    max_quarantined: float = Field(ge=0, lt=1)
    """Largest share of unusable images."""
    max_class_imbalance: float = Field(ge=1)
    """Warning: largest class over smallest, within a split."""
    near_duplicate_bits: int | None = Field(ge=0, le=16)
    """Warning: perceptual hashes at most this many of 64 bits apart; null skips the search."""
    leak: Literal["refuse", "warn"] = "refuse"
    """What a file, or a group of ingest.split.group, that occurs in two splits does to the run."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min_side > self.max_side:
            raise ValueError(f"min_side {self.min_side} is above max_side {self.max_side}")
        return self


LEAKS = ("same_file_in_two_splits", "group_in_two_splits")
"""Rules that `leak` says the severity of."""


def rules(manifest: Manifest, limits: Limits) -> list[Rule]:
    """Return the rules for a manifest, in the order they are reported."""
    return [*_for_all(limits), *_for_usable(manifest, limits), *_for_classes(limits)]


def _for_all(limits: Limits) -> list[Rule]:
    few = f"At most {limits.max_quarantined:.2%} of the images are quarantined."
    unique = Expectation("ExpectColumnValuesToBeUnique", "id")
    return [
        Rule("unique_id", "Every id occurs once.", "critical", "all", unique),
        Rule(
            "few_quarantined",
            few,
            "critical",
            "all",
            _one_of("reason", [""], mostly=1 - limits.max_quarantined),
        ),
        Rule("decodes", "Every image can be used.", "warning", "all", _one_of("reason", [""])),
    ]


def _for_usable(manifest: Manifest, limits: Limits) -> list[Rule]:
    low, high = limits.min_side, limits.max_side
    channels = " or ".join(map(str, limits.channels))
    last = len(manifest.classes) - 1
    found: list[tuple[str, str, Expectation]] = [
        ("width", f"The width is {low} to {high} pixels.", _between("width", low, high)),
        ("height", f"The height is {low} to {high} pixels.", _between("height", low, high)),
        ("channels", f"There are {channels} channels.", _one_of("channels", [*limits.channels])),
        ("known_label", "The label is one of the classes.", _between("highest_class", 0, last)),
        ("known_split", f"The split is {' or '.join(SPLITS)}.", _one_of("split", [*SPLITS])),
    ]
    leaks = [
        ("same_file_in_two_splits", "No file occurs in two splits.", _empty("in_other_split")),
        ("group_in_two_splits", "No group has images in two splits.", _empty("group_elsewhere")),
    ]
    warnings = [
        ("same_file_twice", "No file occurs twice in a split.", _empty("in_same_split")),
        ("same_file_two_labels", "No file has two labels.", _empty("with_other_label")),
    ]
    if (bits := limits.near_duplicate_bits) is not None:
        says = f"No image looks like another: perceptual hashes differ by more than {bits} bits."
        warnings.append(("near_duplicate", says, _empty("looks_like")))
        says = f"No image looks like one of another split, by the same {bits} bits."
        warnings.append(("near_duplicate_in_two_splits", says, _empty("like_in_other_split")))
    (found if limits.leak == "refuse" else warnings).extend(leaks)
    return [
        *(Rule(name, says, "critical", "usable", expect) for name, says, expect in found),
        *(Rule(name, says, "warning", "usable", expect) for name, says, expect in warnings),
    ]


def _for_classes(limits: Limits) -> list[Rule]:
    fewest = limits.min_per_class
    enough = (
        f"Every class has {fewest.train} train, {fewest.val} val and {fewest.test} test images."
    )
    most = limits.max_class_imbalance
    balanced = f"The largest class of a split is at most {most:g} times the smallest."
    return [
        Rule("min_per_class", enough, "critical", "classes", _between("missing", 0, 0)),
        Rule("class_balance", balanced, "warning", "classes", _between("imbalance", 1, most)),
    ]


def _empty(column: str) -> Expectation:
    return Expectation("ExpectColumnValuesToBeNull", column)


def _between(column: str, low: float, high: float) -> Expectation:
    return Expectation(
        "ExpectColumnValuesToBeBetween", column, {"min_value": low, "max_value": high}
    )


def _one_of(column: str, values: list[Any], mostly: float = 1.0) -> Expectation:
    return Expectation(
        "ExpectColumnValuesToBeInSet", column, {"value_set": values, "mostly": mostly}
    )
