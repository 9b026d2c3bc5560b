"""The page: a Run rendered as one HTML file that needs no network, with its charts drawn inline."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgepress.report import words
from edgepress.report.chain import links
from edgepress.report.choice import choices
from edgepress.report.concepts import scatters
from edgepress.report.conditions import settings
from edgepress.report.curves import learning_curves
from edgepress.report.diagnoses import float_network, judged
from edgepress.report.gates import table
from edgepress.report.layout import lay_out
from edgepress.report.run import Run
from edgepress.report.tradeoff import axes, is_measured, not_measured, points


def render(run: Run) -> str:
    """Return the whole page as HTML; names of classes, files and targets are escaped."""
    measured = [target for target in run.targets if is_measured(target)]
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            choices=choices(run.targets),
            graph=lay_out(run.stages),
            curves=learning_curves(run.models),
            links=links(run),
            floats=float_network(run),
            judged=judged(run),
            scatters=scatters(run.curation),
            gates=table(run.targets),
            tradeoff={"axes": axes(run.targets), "points": points(run.targets)},
            scored=next((t.score for t in measured if t.score is not None), None),
            measured=measured,
            unmeasured=not_measured(run.targets),
            settings=settings(run.targets),
            thumbnails=_data_uris(run.thumbnails),
        )
    )


def environment() -> Environment:
    """Return the templates' environment: autoescape on, an unknown name is an error."""
    made = Environment(
        loader=PackageLoader("edgepress.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_uri"] = _data_uri
    made.globals.update(words=words, outcomes=words.OUTCOMES)
    return made


def _data_uris(thumbnails: Mapping[str, bytes]) -> dict[str, str]:
    return {name: _data_uri(data) for name, data in thumbnails.items()}


def _data_uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
