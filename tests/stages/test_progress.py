from __future__ import annotations

import io
import re
import sys
import time

import pytest

from edgepress.runtimes.quiet import quiet
from stages.progress import Doing, lines


@pytest.mark.parametrize(
    ("doing", "expected"),
    [
        (
            Doing("embedding", 500, 2000, 100.0),
            "embed: embedding: 500 of 2,000, 50/s, 10 s, about 30 s left",
        ),
        (Doing("embedding", 0, 2000, 100.0), "embed: embedding: 0 of 2,000, 10 s"),
        (Doing("embedding", 2000, 2000, 100.0), "embed: embedding: 2,000 of 2,000, 200/s, 10 s"),
        (Doing("looking", 1500, 0, 100.0), "embed: looking: 1,500, 150/s, 10 s"),
        (Doing("writing", 0, 0, 100.0), "embed: writing: 10 s"),
    ],
)
def test_line_says_what_is_known_when_asked(doing: Doing, expected: str) -> None:
    assert doing.line("embed", 110.0) == expected


def test_line_counts_only_what_this_run_did_when_work_was_resumed() -> None:
    resumed = Doing("training", 900, 1000, 0.0, start=800)
    assert (
        resumed.line("train", 50.0) == "train: training: 900 of 1,000, 2/s, 50 s, about 50 s left"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(pattern: str, said: io.StringIO) -> None:
    end = time.monotonic() + 20
    while not re.search(pattern, said.getvalue()):
        assert time.monotonic() < end, said.getvalue()
        time.sleep(0.005)


def test_lines_go_on_by_themselves_when_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with lines("export@x", every_s=0.01) as progress:
        progress("writing by onnx", 0, 0)
        wait_for(r"(export@x: writing by onnx: 0 s\n){2}", said)
        progress("answering", 3, 7)
        wait_for(r"export@x: answering: 3 of 7, 0 s\n", said)


def test_lines_are_heard_when_the_tool_at_work_is_kept_quiet(
    capfd: pytest.CaptureFixture[str],
) -> None:
    said, end = "", time.monotonic() + 20
    with lines("export@x", every_s=0.01) as progress, quiet("tool"):
        progress("writing by coreml", 0, 0)
        while "export@x: writing by coreml: 0 s\n" not in said:
            assert time.monotonic() < end, said
            time.sleep(0.01)
            said += capfd.readouterr().err


def test_a_line_that_is_said_stays_at_once_when_nothing_else_is_due(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with lines("train", every_s=3600.0) as progress:
        progress("training", 3, 7)
        progress.say("epoch 1 of 2: loss 0.5")
    assert capsys.readouterr().err == "train: epoch 1 of 2: loss 0.5\n"


def test_a_line_that_is_said_takes_the_moving_ones_place_when_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    with lines("train", every_s=0.01) as progress:
        progress("training", 0, 9)
        wait_for(r"\rtrain: training: 0 of 9", said)
        progress.say("epoch 1 of 2: loss 0.5")
    assert re.search(r"\r {20,}\rtrain: epoch 1 of 2: loss 0.5\n", said.getvalue())


def test_lines_say_nothing_when_the_work_ends_soon(capsys: pytest.CaptureFixture[str]) -> None:
    with lines("check") as progress:
        progress("checking", 1, 2)
    assert capsys.readouterr().err == ""


def test_line_is_written_over_and_wiped_when_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    with lines("embed", every_s=0.01) as progress:
        progress("embedding", 0, 9)
        wait_for(r"\rembed: embedding: 0 of 9", said)
    assert "\n" not in said.getvalue()
    assert re.search(r"\r {20,}\r$", said.getvalue())


def test_lines_end_with_the_stage_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)

    def fail() -> None:
        with lines("embed", every_s=0.01) as progress:
            progress("embedding", 0, 9)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    before = said.getvalue()
    time.sleep(0.05)
    assert said.getvalue() == before
