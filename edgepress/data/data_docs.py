"""Data Docs without a network: the pages' links to foreign hosts go, a small stylesheet comes in.

The pages as generated load scripts, styles and a counted logo from five hosts; on a closed network
they hang and look broken, on an open one they report every visit.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

_FOREIGN = re.compile(
    r"""<script\b[^>]*\bsrc=["']https?://[^>]*>\s*</script>"""
    r"""|<link\b[^>]*\bhref=["']https?://[^>]*>"""
    r"""|<img\b[^>]*\bsrc=["']https?://[^>]*>""",
    re.IGNORECASE,
)
_INLINE_SCRIPT = re.compile(r"<script\b[^>]*>.*?</script>", re.IGNORECASE | re.DOTALL)
_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0; }
td, th { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top; }
nav, .modal, button, footer { display: none; }
ol, ul { padding-left: 1.2rem; }
.text-success { color: #0a7d33; } .text-danger { color: #b3261e; } .text-warning { color: #a15c00; }
.fa-check-circle::before { content: "passed"; } .fa-times::before { content: "failed"; }
.fa-exclamation-triangle::before { content: "warning"; }
</style></head>"""


def make_offline(docs: Path) -> None:
    """Rewrite every HTML page below `docs` and drop the tutorial pictures and fonts."""
    for page in docs.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = _INLINE_SCRIPT.sub("", _FOREIGN.sub("", text))
        page.write_text(text.replace("</head>", _STYLE, 1), encoding="utf-8")
    for folder in ("static/fonts", "static/images"):
        shutil.rmtree(docs / folder, ignore_errors=True)
