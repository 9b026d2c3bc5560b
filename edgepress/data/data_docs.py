"""Data Docs without a network: the pages may load and run nothing, and bring a small stylesheet.

As generated they fetch scripts, styles and a counted logo from five hosts (slow on a closed
network, a report of every visit on an open one) and show file names unescaped. A content security
policy ends both. The index is drawn by those scripts, so a plain one takes its place.
"""

from __future__ import annotations

import html
import shutil
from pathlib import Path

from edgepress.records.findings import Findings

_POLICY = """<head><meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'self' 'unsafe-inline'">"""
_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0; }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top; }
nav, .modal, button, footer, .sticky { display: none; }
ol, ul { padding-left: 1.2rem; }
.text-success { color: #0a7d33; } .text-danger { color: #b3261e; } .text-warning { color: #a15c00; }
.fa-check-circle::before { content: "passed"; } .fa-times::before { content: "failed"; }
.fa-exclamation-triangle::before { content: "warning"; }
</style></head>"""


def make_offline(docs: Path) -> None:
    """Rewrite every page below `docs`, drop the tutorial pictures and fonts."""
    for page in docs.rglob("*.html"):
        text = page.read_text(encoding="utf-8").replace("<head>", _POLICY, 1)
        page.write_text(text.replace("</head>", _STYLE, 1), encoding="utf-8")
    for folder in ("static/fonts", "static/images"):
        shutil.rmtree(docs / folder, ignore_errors=True)


def write_index(docs: Path, findings: Findings) -> None:
    """Write index.html: a row per rule, and the way to the detailed pages."""
    rows = []
    for finding in findings.findings:
        colour = "success" if finding.passed else "danger"
        if not finding.passed and finding.severity == "warning":
            colour = "warning"
        said = "passed" if finding.passed else "failed"
        cells = [
            finding.says,
            finding.severity,
            said,
            finding.offending,
            next(iter(finding.examples), ""),
        ]
        columns = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
        rows.append(f'<tr class="text-{colour}">{columns}</tr>')
    pages = sorted(page.relative_to(docs).as_posix() for page in docs.glob("validations/**/*.html"))
    links = "".join(f'<li><a href="{page}">{page.split("/")[1]}</a></li>' for page in pages)
    head = "<th>Rule</th><th>Severity</th><th>Outcome</th><th>Rows</th><th>For example</th>"
    (docs / "index.html").write_text(
        f'<!doctype html><html lang="en">{_POLICY}<meta charset="utf-8"><title>Data check</title>'
        f"{_STYLE}<body><h1>Data check</h1><p>{findings.images} usable images.</p>"
        f"<table><tr>{head}</tr>{''.join(rows)}</table>"
        f"<p>In detail:</p><ul>{links}</ul></body></html>\n",
        encoding="utf-8",
    )
