"""DeepLabCut's projects: a table CollectedData_*.csv beside the frames it labels, left in place.

Format: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html. Its
coordinates are 0 in the middle of the first pixel, as its tools show pictures; ours are 0 at that
pixel's corner. A frame has one object, whose box is drawn around its labelled points.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from edgepress.data.inspection import inspect
from edgepress.data.listing import Entry, Listing
from edgepress.data.objects import OBJECTS
from edgepress.data.sources._deeplabcut_table import Frame, Table
from edgepress.data.sources._objects import labelled
from edgepress.data.walk import NO_IMAGE, LeftOut, claims_to_be_image, walk
from edgepress.errors import UserError
from edgepress.params import Config

Size = tuple[float, float] | None
_MIDDLE = 0.5
"""Of a pixel, from its corner."""


class Params(Config):
    """Where the project is, and what of it is wanted."""

    method: Literal["deeplabcut"]
    path: str
    """Folder of the project, its labeled-data, or one video's folder in that."""
    category: str = Field(min_length=1)
    """What the labelled object is called."""
    points: tuple[str, ...] = Field(min_length=1)
    """Body parts to take, in the order in which the task names its points."""
    margin: float = Field(ge=0)
    """Pixels from the outermost labelled points to the object's box; DeepLabCut's own is 20."""


def ingest(folder: Path, *, params: Params) -> Listing:  # noqa: ARG001
    """List the labelled frames; nothing is copied into `folder`."""
    root = Path(params.path)
    if not root.is_dir():
        raise UserError(f"ingest.source.path: {root}: no such folder; set it to your project")
    left_out = LeftOut()
    # Beside labeled-data lie tables that DeepLabCut made of all of those in it.
    inner = root / "labeled-data"
    files = list(walk(inner if inner.is_dir() else root, left_out))
    tables = _tables([path for path in files if path.name.startswith("CollectedData_")], root)
    known = [Table.read(path, params.points) for path in tables]
    labelled = {frame.path for table in known for frame in table.frames}
    for path in files:
        if not claims_to_be_image(path):
            if path not in tables:
                left_out.note(NO_IMAGE, path)
        elif path not in labelled:
            left_out.note("frame without a label", path)

    def entries() -> Iterator[Entry]:
        for table in known:
            size = _size(table)
            for frame in table.frames:
                label = None if frame.problem else _label(frame, params.margin, size)
                yield Entry.of_file(frame.path, root, label, problem=frame.problem)

    return Listing(
        source=params.method,
        where=str(root),
        container="file",
        inside=False,
        classes=(params.category,),
        splits=frozenset(),
        entries=entries,
        labels=OBJECTS,
        left_out=left_out,
    )


def _tables(found: list[Path], root: Path) -> list[Path]:
    """Return the tables of labels, one a folder."""
    tables = [path for path in found if path.suffix.lower() == ".csv"]
    if not tables:
        also = f"; {found[0].name} has no .csv beside it" if found else ""
        raise UserError(f"{root}: holds no CollectedData_*.csv; expected one beside frames{also}")
    first: dict[Path, Path] = {}
    for path in tables:
        other = first.setdefault(path.parent, path)
        if other != path:
            raise UserError(
                f"{path}: labels the frames that {other.name} labels too; move one of them away"
            )
    return tables


def _label(frame: Frame, margin: float, size: Size) -> dict[str, Any]:
    points = [value for place in frame.points for value in _point(place)]
    label = labelled(0, box=_box(frame, margin, size), points=points)
    return {"width": None, "height": None, "relative": False, "objects": [label]}


def _point(place: tuple[float, float] | None) -> tuple[float, float, float]:
    return (0.0, 0.0, 0.0) if place is None else (place[0] + _MIDDLE, place[1] + _MIDDLE, 2.0)


def _box(frame: Frame, margin: float, size: Size) -> list[float] | None:
    """Return the box around the labelled points, cut at the picture's border.

    A point outside of the picture is left in it, for the check of labels to find.
    """
    places = [_point(place)[:2] for place in frame.points if place is not None]
    if not places or size is None:
        return None
    low = [min(values) for values in zip(*places, strict=True)]
    high = [max(values) for values in zip(*places, strict=True)]
    low = [min(max(0.0, value - margin), value) for value in low]
    high = [max(min(side, value + margin), value) for value, side in zip(high, size, strict=True)]
    return [*low, *high]


def _size(table: Table) -> Size:
    """Return width and height of a video, which its frames have alike: of the first that is read.

    A frame of another size whose box does not fit it is set aside by the check of labels.
    """
    for frame in table.frames:
        if frame.path.is_file():
            (facts,) = inspect([frame.path.read_bytes()])
            if facts.width is not None and facts.height is not None:
                return float(facts.width), float(facts.height)
    return None
