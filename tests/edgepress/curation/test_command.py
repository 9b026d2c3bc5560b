from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from edgepress.cli import main
from edgepress.curation import command
from edgepress.curation.rows import RowFile
from edgepress.records.embeddings import Embeddings
from edgepress.records.selection import Selection

Vectors = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path, vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, made current, with embeddings of 600 named rows and class labels."""
    monkeypatch.chdir(tmp_path)
    names = [f"img-{row:04d}" for row in range(600)]
    Embeddings.create(
        tmp_path / "emb", vectors(600), names, encoder="test", encoder_sha256="0" * 64
    )
    np.save("labels.npy", np.arange(600) % 4)
    return tmp_path


def _curate(*arguments: str) -> int:
    return main(["curate", "emb", "--out", "kept.parquet", "--workers", "1", *arguments])


def test_curate_writes_the_kept_rows_and_says_what_it_did(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _curate("--keep", "0.28", "--clusters", "12", "--selection", "full") == 0
    kept = pq.ParquetFile("kept.parquet").read()
    assert kept.column_names == ["id", "concept", "distance"]
    selection = Selection.read(Path("full"))
    assert kept["id"].to_pylist() == selection.kept_ids(Path("full"))
    assert len(kept) == selection.budget == 168
    assert "kept 168 of 600 rows" in capsys.readouterr().out
    assert sorted(path.name for path in files.iterdir()) == [
        "emb", "full", "kept.parquet", "labels.npy",
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["random", "prototypicality", "deduplicate_only"])
def test_rivals_answer_to_the_same_command(files: Path, method: str) -> None:
    assert _curate("--keep", "0.5", "--method", method) == 0
    assert len(pq.ParquetFile("kept.parquet").read()) == 300


def test_report_is_one_page_without_links(files: Path) -> None:
    options = ["--keep", "0.3", "--labels", "labels.npy", "--class-floor", "5"]
    assert _curate(*options, "--report", "out.html") == 0
    page = Path("out.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 3
    assert not re.search(r"(src|href)=\"(?!data:)", page)


@pytest.mark.parametrize(
    ("arguments", "clause"),
    [
        ([], "--keep: missing"),
        (["--keep", "0"], "curate.keep: Input should be greater than 0"),
        (["--keep", "2"], "curate.keep: Input should be less than or equal to 1"),
        (["--keep", "much"], "curate.keep: Input should be a valid number"),
        (["--keep", "0.3", "--clusters", "601"], "concepts: 601 asked for"),
        (["--keep", "0.3", "--method", "randon"], "did you mean random?"),
        (["--keep", "0.3", "--method", "random", "--floor", "2"], "--floor: random has no such"),
        (["--keep", "0.01", "--floor", "5"], "below the floors"),
        (["--keep", "0.3", "--class-floor", "5"], "class_floor: the rows have no class labels"),
        (["--keep", "0.3", "--labels", "none.npy"], "none.npy: cannot be read"),
        (["--keep", "0.3", "--labels", "emb/embeddings.npy"], "expected whole numbers"),
        (["--keep", "0.3", "--address", "x:1"], "--address: only --engine ray"),
        (
            ["--keep", "0.3", "--engine", "ray", "--address", "127.0.0.1:1"],
            "--address 127.0.0.1:1: no Ray cluster answers",
        ),
        (["--keep", "0.3", "--engine", "ray", "--address", "x"], "--address x: no Ray cluster"),
        (["--keep", "0.3", "--workers", "0"], "--workers: 0 is below 1"),
        (["--keep", "0.3", "--out", "no/such/kept.parquet"], "cannot be written"),
        (["--keep", "0.3", "--report", "no/such/out.html"], "cannot be written"),
        (["--keep", "0.3", "--scratch", "labels.npy/x"], "labels.npy/x/runs: cannot be written"),
        (["--keep", "0.3", "--images", "emb", "--report", "o.html"], "emb/manifest."),
    ],
)
def test_curate_refuses_in_one_line_and_keeps_the_earlier_output(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], clause: str
) -> None:
    Path("kept.parquet").write_bytes(b"earlier")
    assert _curate(*arguments) == 2
    err = capsys.readouterr().err
    assert clause in err
    assert err.count("\n") == 1
    assert Path("kept.parquet").read_bytes() == b"earlier"
    # Only a refusal after the first pass leaves anything: the passes done, for another try.
    left = {path.name for path in files.iterdir()} - {"emb", "kept.parquet", "labels.npy"}
    assert left <= ({".kept.parquet.scratch"} if "floors" in clause else set())


def test_a_full_disk_is_one_line_that_names_the_place(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RowFile, "write", full)
    assert _curate("--keep", "0.3", "--method", "random") == 2
    assert "kept.parquet.scratch: no space left" in capsys.readouterr().err


def test_scratch_leaves_what_is_not_its_own(files: Path) -> None:
    precious = files / "scratch" / "runs" / "precious"
    precious.mkdir(parents=True)
    assert _curate("--keep", "0.3", "--method", "random", "--scratch", "scratch") == 0
    assert precious.is_dir()


def test_every_default_is_a_parameter_some_method_has() -> None:
    assert set(command.DEFAULTS) - {"concepts"} <= set(command.OPTIONS)
