"""Where everything lies: every path of the pipeline, spelt once."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")

MANIFEST = Path("data/manifest")
CHECK = Path("data/check")
EMBEDDINGS = Path("data/embeddings")
SELECTION = Path("data/selection")

TEACHER = Path("models/teacher")
STUDENT = Path("models/student")
SLIM = Path("models/slim")
QUANTIZED = Path("models/quantized")

EXPORTED = Path("targets/exported")
MEASURED = Path("targets/measured")
JUDGED = Path("targets/judged")
REGISTERED = Path("targets/registered")

REPORTS = Path("reports")
METRICS = Path("metrics")
STATE = Path("state")
SCRATCH = Path(".edgepress")
"""What may be thrown away: checkpoints, locks, half-done work."""
SOURCES = SCRATCH / "sources.json"
"""What edgepress/state/code.py remembers of our own files."""
DECODED = SCRATCH / "decoded"
"""Images and truths at the model's size, as memory maps that the stages share."""
