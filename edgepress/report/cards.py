"""Model cards: one Markdown page per target, written from the run's records and nothing else."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from huggingface_hub import ModelCardData
from huggingface_hub.repocard_data import EvalResult
from markupsafe import Markup, escape

from edgepress.report.gates import obstacles
from edgepress.report.page import environment
from edgepress.report.run import Run, TargetRun

_MARKDOWN = str.maketrans({mark: f"&#{ord(mark)};" for mark in "|`*_[]#\\"})


def card(run: Run, target: TargetRun) -> str:
    """Return the target's card: a YAML header as model hubs read it, then Markdown."""
    made = environment()
    made.filters["plain"] = _plain
    text = made.get_template("card.md.j2").render(
        run=run, target=target, obstacles=obstacles([target]), entry=_entry(target)
    )
    return f"---\n{_header(run, target)}\n---\n\n{text.strip()}\n"


def _header(run: Run, target: TargetRun) -> str:
    name = f"{run.provenance.project}.{target.key}"
    details: dict[str, Any] = {
        "library_name": "edgepress",
        "pipeline_tag": "image-classification",
        "datasets": [run.provenance.project],
        "tags": [target.target.device, target.target.runtime, target.target.precision],
        "model_name": name,
    }
    if target.accuracy is not None:
        details["eval_results"] = [
            EvalResult(
                task_type="image-classification",
                dataset_type=run.provenance.project,
                dataset_name=run.provenance.project,
                dataset_split="test",
                metric_type="accuracy",
                metric_value=round(target.accuracy, 6),
            )
        ]
    return str(ModelCardData(**details).to_yaml()).strip()


def _entry(target: TargetRun) -> str:
    return "" if target.exported is None else PurePosixPath(target.exported.entry).name


def _plain(value: object) -> Markup:
    """Make any text one line of Markdown without marks: class and file names are user input."""
    line = " ".join(str(value).split())
    return Markup(str(escape(line)).replace("&#", "\0").translate(_MARKDOWN).replace("\0", "&#"))
