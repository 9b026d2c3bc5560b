"""The entry `coding` of a task."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from edgepress.errors import nearest
from edgepress.params import Config
from edgepress.tasks.detection.codings import default_boxes, distances, queries

_CODINGS = {"distances": distances, "default_boxes": default_boxes, "queries": queries}


def _read(raw: Any) -> Any:
    """Take a mapping by the coding that it names, so that errors name the key alone."""
    if isinstance(raw, Config):
        return raw
    name = str(raw.get("method")) if isinstance(raw, dict) else ""
    if name not in _CODINGS:
        known = list(_CODINGS)
        hint = nearest(name, known)
        raise ValueError(f"expected a mapping whose method is one of {', '.join(known)}{hint}")
    return _CODINGS[name].Params.model_validate(raw)


Entry = Annotated[distances.Params | default_boxes.Params | queries.Params, BeforeValidator(_read)]
"""Parameters of one of the codings."""
