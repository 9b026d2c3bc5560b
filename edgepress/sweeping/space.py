"""Space: which values of params.yaml a sweep tries, as the command line spells them.

`KEY=log:0.001..0.1`, `KEY=float:0..0.2`, `KEY=int:8..64` or `KEY=choice:sgd,adamw`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from edgepress.errors import UserError
from edgepress.methods import resolve
from edgepress.params import lookup, parse_yaml
from edgepress.recipes import expanded
from edgepress.sections import METHODS

Kind = Literal["log", "float", "int", "choice"]
SECTIONS = ("train", "distill")
"""Networks that can be swept: each trial trains one of them."""
_SPELLED = re.compile(r"(?P<key>[\w.]+)=(?P<kind>log|float|int|choice):(?P<values>.+)")
_ASKED = "expected KEY=log:LOW..HIGH, float:LOW..HIGH, int:LOW..HIGH or choice:A,B,..."


@dataclass(frozen=True)
class Axis:
    """One value that is tried: its key, and from where to where or among what."""

    key: str
    kind: Kind
    values: tuple[Any, ...]
    """Low and high, or the choices."""

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Read one axis; what cannot be one is a UserError."""
        found = _SPELLED.fullmatch(text)
        if found is None:
            raise UserError(f"{text}: {_ASKED}")
        kind = cast(Kind, found["kind"])
        if kind == "choice":
            values = tuple(parse_yaml(each) for each in found["values"].split(","))
            if len(set(map(str, values))) < max(2, len(values)):
                raise UserError(f"{text}: expected two choices or more, none twice")
            return cls(found["key"], kind, values)
        ends = [parse_yaml(each) for each in found["values"].split("..")]
        numbers = (int,) if kind == "int" else (int, float)
        plain = all(isinstance(end, numbers) and not isinstance(end, bool) for end in ends)
        if len(ends) != 2 or not plain or ends[0] >= ends[1]:
            raise UserError(f"{text}: {_ASKED}, LOW below HIGH")
        if kind == "log" and ends[0] <= 0:
            raise UserError(f"{text}: a logarithm needs LOW above 0")
        whole = ends if kind == "int" else map(float, ends)
        return cls(found["key"], kind, tuple(whole))

    def __str__(self) -> str:
        """Return the axis as it is spelled."""
        joint = "," if self.kind == "choice" else ".."
        return f"{self.key}={self.kind}:{joint.join(map(str, self.values))}"


@dataclass(frozen=True)
class Space:
    """All axes of one sweep, over values of one network's section."""

    axes: tuple[Axis, ...]
    section: str

    @classmethod
    def parse(cls, texts: Sequence[str], params: dict[str, Any], where: str) -> Space:
        """Read axes and hold their ends or choices against the rules of params.yaml."""
        axes = tuple(map(Axis.parse, texts))
        keys = [axis.key for axis in axes]
        sections = {key.partition(".")[0] for key in keys}
        if len(sections) != 1 or not sections <= set(SECTIONS):
            raise UserError(
                f"{', '.join(keys)}: a sweep is over keys of one network, train.* or distill.*"
            )
        if len(set(keys)) < len(keys):
            raise UserError(f"{', '.join(keys)}: a key is named twice")
        space = cls(axes, sections.pop())
        for axis in axes:
            for value in axis.values:
                _hold(with_values(params, {axis.key: value}), axis.key, where)
        return space

    def recipe(self, params: dict[str, Any]) -> tuple[str, Any]:
        """Return the room and the entry of the recipe that trials train by."""
        key = f"{self.section}.recipe"
        return METHODS[key], lookup(params, key, "params.yaml")


def with_values(params: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return params with values in place at dotted keys, beside what a named recipe has there."""
    tree = copy.deepcopy(params)
    for key, value in values.items():
        above, _, last = key.rpartition(".")
        _write_out(tree, above.split("."))
        entry = lookup(tree, above, "params.yaml")
        if not isinstance(entry, dict):
            raise UserError(f"params.yaml: {above}: is no mapping, so {key} cannot be set")
        entry[last] = value
    return tree


def _write_out(tree: dict[str, Any], way: list[str]) -> None:
    """Put in place the mappings on a way that only a named recipe has."""
    place = tree
    for name in way:
        if name not in place and isinstance(held := expanded(place, "params.yaml").get(name), dict):
            place[name] = held
        if not isinstance(place.get(name), dict):
            return
        place = place[name]


def preset(params: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values at dotted keys as mappings in mappings, as a preset has them.

    A mapping that only a named recipe has is given as a whole, since it holds so before the recipe.
    """
    tree: dict[str, Any] = {}
    whole = with_values(params, values)
    for key, value in values.items():
        *above, last = key.split(".")
        place, own, full = tree, params, whole
        for name in above:
            own, full = own.get(name, {}), full[name]
            if not own:
                place[name] = full
                break
            place = place.setdefault(name, {})
        else:
            place[last] = value
    return tree


def _hold(params: dict[str, Any], key: str, where: str) -> None:
    """Hold the method's entry that a key lies in."""
    for entry, room in METHODS.items():
        if key.startswith(f"{entry}."):
            resolve(room, lookup(params, entry, where), where, entry)
            return
    raise UserError(f"{where}: {key}: lies in no entry of a backbone, head or recipe")
