"""Data Docs without a network: the pages' links to foreign hosts go, a small stylesheet comes in.

The pages as generated load scripts, styles and a counted logo from five hosts; on a closed network
they hang and look broken, on an open one they report every visit. Their index is drawn by those
scripts, so a plain one takes its place.
"""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

from edgepress.records.findings import Findings

_FOREIGN = re.compile(
    r"""<script\b[^>]*\bsrc=["']https?://[^>]*>\s*</script>"""
    r"""|<link\b[^>]*\bhref=["']https?://[^>]*>"""
    r"""|<img\b[^>]*\bsrc=["']https?://[^>]*>""",
    re.IGNORECASE,
)
_INLINE_SCRIPT = re.compile(r"<script\b[^>]*>.*?</script>", re.IGNORECASE | re.DOTALL)
_FOREIGN_PICTURE = re.compile(r"""url\(["']?https?://[^)]*\)""", re.IGNORECASE)
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
    """Rewrite every page and stylesheet below `docs`, drop the tutorial pictures and fonts."""
    for page in (*docs.rglob("*.html"), *docs.rglob("*.css")):
        text = page.read_text(encoding="utf-8")
        text = _INLINE_SCRIPT.sub("", _FOREIGN.sub("", text))
        text = _FOREIGN_PICTURE.sub("none", text)
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
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Data check</title>'
        f"{_STYLE}<body><h1>Data check</h1><p>{findings.images} usable images.</p>"
        f"<table><tr>{head}</tr>{''.join(rows)}</table>"
        f"<p>In detail:</p><ul>{links}</ul></body></html>\n",
        encoding="utf-8",
    )
