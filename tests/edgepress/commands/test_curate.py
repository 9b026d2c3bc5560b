from __future__ import annotations

import base64
import errno
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from edgepress.cli import main
from edgepress.commands import curate
from edgepress.commands._outputs import write_kept
from edgepress.data.ingestion import Rules
from edgepress.data.splits import Fractions
from edgepress.methods import resolve
from edgepress.records.embeddings import Embeddings
from edgepress.records.selection import Selection
from edgepress.workers.rows import RowFile
from edgepress.workers.scratch import Work
from tests.classified import classified

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
        (["--keep", "0.3", "--labels", "none.npy"], "none.npy: file not found"),
        (["--keep", "0.3", "--labels", "emb"], "emb: not a file"),
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
        (["--keep", "0.3", "--seed", "-1"], "--seed: -1 is below 0; give a whole number"),
        (["--keep", "0.3", "--out", "emb"], "--out emb: is a folder; name a file"),
        (["--keep", "0.3", "--out", "."], "--out .: is a folder; name a file"),
        (["--keep", "0.3", "--report", "emb"], "--report emb: is a folder; name a file"),
        (["--keep", "0.3", "--selection", "labels.npy"], "--selection labels.npy: is a file"),
        (["--keep", "0.3", "--selection", "no/such"], "--selection no/such: cannot be written"),
        (["--keep", "0.3", "--out", "emb/embeddings.npy"], "--out emb/embeddings.npy: is an input"),
        (["--keep", "0.3", "--out", "emb/ids.parquet"], "--out emb/ids.parquet: is an input too"),
        (["--keep", "0.3", "--report", "emb/../emb/embeddings.npy"], "is an input too; name"),
        (
            ["--keep", "0.3", "--labels", "labels.npy", "--out", "labels.npy"],
            "--out labels.npy: is an input too; name another place",
        ),
        (["--keep", "0.3", "--report", "./kept.parquet"], "is what --out writes too; name"),
        (["--keep", "0.3", "--selection", "kept.parquet"], "kept.parquet: is what --out writes"),
        (
            ["--keep", "0.3", "--out", "selection.parquet", "--selection", "."],
            "--selection selection.parquet: is what --out writes too",
        ),
        (["--keep", "0.3", "--scratch", "kept.parquet"], "kept.parquet: is what --out writes"),
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


def test_scratch_leaves_what_another_process_works_on(files: Path) -> None:
    runs = files / ".kept.parquet.scratch" / "runs"
    other = Work.open(runs, "other")
    assert _curate("--keep", "0.3", "--method", "random") == 0
    assert other.folder.is_dir()
    other.remove()
    assert _curate("--keep", "0.3", "--method", "random") == 0
    assert not runs.parent.exists()


def test_curate_refuses_when_the_same_job_runs_already(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = []

    def again(folder: Path, out: Path) -> None:
        codes.append(_curate("--keep", "0.3", "--method", "random"))
        write_kept(folder, out)

    monkeypatch.setattr(curate, "write_kept", again)
    assert _curate("--keep", "0.3", "--method", "random") == 0
    assert codes == [2]
    assert "another process runs this job there" in capsys.readouterr().err
    assert len(pq.ParquetFile("kept.parquet").read()) == 180


def _killed(options: list[str]) -> None:
    curate.write_kept = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    _curate(*options)


@pytest.mark.parametrize("more", [[], ["--selection", "full"], ["--report", "out.html"]])
def test_no_step_is_taken_again_when_killed_before_the_rows_kept_are_written(
    files: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    options = ["--keep", "0.3", *more]
    assert _curate(*options) == 0
    expected = Path("kept.parquet").read_bytes()
    Path("kept.parquet").unlink()
    child = multiprocessing.get_context("fork").Process(target=_killed, args=(options,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    steps = _noted_steps(monkeypatch)
    assert _curate(*options) == 0
    assert steps == []
    assert Path("kept.parquet").read_bytes() == expected
    assert not Path(".kept.parquet.scratch").exists()


def _noted_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by every step that is computed rather than read."""
    steps: list[str] = []
    step = Work.step

    def noted(self: Work, name: str, compute: Any) -> Any:
        def computed() -> Any:
            steps.append(name)
            return compute()

        return step(self, name, computed)

    monkeypatch.setattr(Work, "step", noted)
    return steps


@pytest.mark.parametrize("name", ["kept.parquet", "out.html", "full"])
def test_the_output_is_named_and_no_step_lost_when_it_cannot_be_renamed(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    replace = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if name in (target.name, target.parent.name):
            raise PermissionError(errno.EPERM, "Operation not permitted", str(self), str(target))
        return replace(self, target)

    options = ["--keep", "0.3", "--report", "out.html", "--selection", "full"]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refused)
        assert _curate(*options) == 2
    err = capsys.readouterr().err
    assert f"edgepress curate: {name}: cannot be written (Operation not permitted); mend" in err
    assert "partial" not in err
    assert err.count("\n") == 1
    steps = _noted_steps(monkeypatch)
    assert _curate(*options) == 0
    assert steps == []
    assert not list(files.glob(".*"))


def test_foreign_images_are_refused_before_any_pass(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("images").mkdir()
    source = resolve("data.sources", {"method": "digits"}, "test", "source")
    rules = Rules(split=Fractions(val=0.1, test=0.25), limit=40)
    classified(source(Path("images")), Path("images"), rules)
    options = ["--keep", "0.3", "--report", "out.html", "--images", "images"]
    assert _curate(*options) == 2
    assert "--images: the manifest has no usable image of id 'img-0000'" in capsys.readouterr().err
    assert not Path(".kept.parquet.scratch").exists()
    assert _curate(*options, "--labels", "labels.npy") == 0


def test_labels_of_any_size_count_as_small_ones_do_and_the_page_names_them(files: Path) -> None:
    options = ["--keep", "0.1", "--labels", "labels.npy", "--class-floor", "12"]
    assert _curate(*options) == 0
    expected = Path("kept.parquet").read_bytes()
    large = [7, 3_000_000_000, 2**33, 2**63 + 5]
    for dtype, names in ((np.int64, large[:3] + [2**62]), (np.uint64, large)):
        np.save("labels.npy", np.array(names, dtype)[np.arange(600) % 4])
        assert _curate(*options, "--report", "out.html") == 0
        assert Path("kept.parquet").read_bytes() == expected
        pictures = re.findall(r"svg\+xml;base64,([^\"]+)", Path("out.html").read_text())
        classes = base64.b64decode(pictures[-1])
        assert all(f">{name}<".encode() in classes for name in names[:3])


def test_every_default_is_a_parameter_some_method_has() -> None:
    assert set(curate.DEFAULTS) - {"concepts"} <= set(curate.OPTIONS)
