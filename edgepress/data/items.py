"""Items: what a listed image gives, itself or each part of it that its label tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgepress.data.groups import Named
from edgepress.data.inspection import Facts, hashed, look
from edgepress.data.labels import Admitted, Instances, LabelRules, Read, Seen
from edgepress.data.phash import thumbnail
from edgepress.data.picture import UnusableError
from edgepress.data.reading import Encoded
from edgepress.data.window import Window

_UNLABELLED = Admitted(None, ())


@dataclass(frozen=True, slots=True)
class Item:
    """What becomes a row of the manifest."""

    id: str
    facts: Facts
    """Width, height and looks are those of what is shown."""
    admitted: Admitted
    window: Window | None = None
    """The part of the image that is shown; None is all of it."""

    def row(self, image: Named) -> dict[str, Any]:
        """Return the row of an item of this image, its split left open."""
        entry, name = image
        facts = self.facts
        crop = None if self.window is None else list(self.window.edges)
        return {
            "id": self.id,
            **{k: getattr(entry, k) for k in ("path", "row", "offset", "length")},
            "group": name,
            "split": None,
            "label": self.admitted.label,
            "classes": list(self.admitted.classes),
            "crop": crop,
            **{k: getattr(facts, k) for k in ("width", "height", "channels", "mode")},
            **{k: getattr(facts, k) for k in ("sha256", "phash", "reason")},
            "status": "quarantined" if facts.reason else "ok",
        }


@dataclass(frozen=True, slots=True)
class Given:
    """A listed image and what it gives."""

    image: Named
    """With the name of a group that no item of it leaves."""
    items: list[Item]
    left_out: tuple[str, ...] = ()
    """The rule by which something on it is in no item, once for each such thing."""


def given(group: Sequence[Encoded], labels: LabelRules, read: Read) -> list[Given]:
    """Look at a group of images and return what each gives, hashed in one go."""
    found, facts, thumbnails = [], [], []
    for image, data in group:
        seen, picture = look(data)
        each = _given(image, seen, labels, read)
        found.append(each)
        for item in each.items:
            shown = picture if picture is None or item.window is None else item.window.of(picture)
            facts.append(item.facts)
            thumbnails.append(None if shown is None else thumbnail(shown))
    complete = iter(hashed(facts, thumbnails))
    return [
        replace(each, items=[replace(item, facts=next(complete)) for item in each.items])
        for each in found
    ]


def _given(image: Named, facts: Facts, labels: LabelRules, read: Read) -> Given:
    """Ask the task whether the label may be used, where the picture may."""
    name = image[0].id
    if facts.reason or facts.width is None or facts.height is None:
        return Given(image, [Item(name, facts, _UNLABELLED)])
    seen = Seen(facts.width, facts.height, facts.orientation)
    try:
        admitted = labels.admit(image[0].label, seen, read)
    except UnusableError as error:
        return Given(image, [Item(name, replace(facts, reason=str(error)), _UNLABELLED)])
    if isinstance(admitted, Instances):
        return _instances(image, facts, admitted)
    return Given(image, [Item(name, facts, admitted)])


def _instances(image: Named, facts: Facts, told: Instances) -> Given:
    """Return the items of one picture, which are a group where nothing else groups them."""
    entry, name = image
    items = []
    for each in told.instances:
        width, height = each.window.size
        shown = replace(facts, width=width, height=height)
        items.append(Item(f"{entry.id}#{each.number}", shown, each.admitted, each.window))
    return Given((entry, name or entry.id), items, told.left_out)
