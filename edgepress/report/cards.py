"""Model cards: one Markdown page per target, written from the run's records and nothing else."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from huggingface_hub import ModelCardData
from huggingface_hub.repocard_data import EvalResult
from markupsafe import Markup, escape

from edgepress.report.diagnoses import confused, figures
from edgepress.report.gates import obstacles
from edgepress.report.limits import limits
from edgepress.report.page import environment
from edgepress.report.per_class import table
from edgepress.report.run import Run, TargetRun

MOST = 10
"""Classes and confusions named, the worst."""
_MARKDOWN = str.maketrans({mark: f"&#{ord(mark)};" for mark in "|`*_[]#\\"})


def card(run: Run, target: TargetRun) -> str:
    """Return the target's card: a YAML header as model hubs read it, then Markdown."""
    made = environment()
    made.filters["plain"] = _plain
    told = None if target.diagnosed is None else target.diagnosed.ours
    confusion = None if told is None else told.confusion
    text = made.get_template("card.md.j2").render(
        run=run,
        target=target,
        obstacles=obstacles([target]),
        entry=_entry(target),
        figures=figures(target),
        classes=table(target, MOST),
        confusions=[] if confusion is None else confused(confusion.pairs[:MOST], confusion.unit),
        limits=limits(target),
    )
    return f"---\n{_header(run, target)}\n---\n\n{text.strip()}\n"


def _header(run: Run, target: TargetRun) -> str:
    name = f"{run.provenance.project}.{target.key}"
    details: dict[str, Any] = {
        "library_name": "edgepress",
        "pipeline_tag": run.hub,
        "datasets": [run.provenance.project],
        "tags": [target.target.device, target.target.runtime, target.target.precision],
        "model_name": name,
    }
    scores = () if target.measurement is None else target.measurement.scores
    if scores:
        details["eval_results"] = [
            EvalResult(
                task_type=run.hub,
                dataset_type=run.provenance.project,
                dataset_name=run.provenance.project,
                dataset_split="test",
                metric_type=score.name,
                metric_value=round(score.value.value, 6),
            )
            for score in scores
            if score.of is None
        ]
    return str(ModelCardData(**details).to_yaml()).strip()


def _entry(target: TargetRun) -> str:
    return "" if target.exported is None else PurePosixPath(target.exported.part.entry).name


def _plain(value: object) -> Markup:
    """Make any text one line of Markdown without marks: class and file names are user input."""
    line = " ".join(str(value).split())
    return Markup(str(escape(line)).replace("&#", "\0").translate(_MARKDOWN).replace("\0", "&#"))
