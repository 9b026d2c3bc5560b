"""Doctor: a row says what really happens when a library is imported."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from edgepress.commands import doctor
from edgepress.commands.doctor import Diagnosis, Library
from edgepress.methods import names


def library(**changes: object) -> Library:
    base = {
        "name": "x",
        "kind": "runtime",
        "package": "numpy",
        "code": "import numpy",
        "install": "numpy",
    }
    return Library(**{**base, **changes})  # type: ignore[arg-type]


def test_library_works_when_it_imports() -> None:
    row = doctor.examine(library())
    assert row.works
    assert row.version[0].isdigit()
    assert row.advice == ""


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"package": "no-such-package", "install": "that"}, "not installed; pip install that"),
        ({"code": "import no_such_module"}, "No module named 'no_such_module'"),
        ({"code": "import os; os.kill(os.getpid(), 11)"}, "exit code -11"),
        ({"platforms": ("beos",)}, "needs beos"),
        ({"gpu": True}, "needs an NVIDIA GPU"),
    ],
)
def test_library_says_what_to_do_when_it_does_not_work(
    changes: dict[str, object], advice: str, tmp_path: Path
) -> None:
    row = doctor.examine(library(**changes), tmp_path)
    assert not row.works
    assert advice in row.advice


def test_library_is_not_waited_for_when_it_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LIMIT_S", 1)
    row = doctor.examine(library(code="import time; time.sleep(60)"))
    assert not row.works
    assert "more than 1 s" in row.advice


def test_every_exporter_and_runtime_of_the_rooms_has_a_row() -> None:
    for room, kind in (("export", "exporter"), ("runtimes", "runtime")):
        listed = {one.name for one in doctor.LIBRARIES if one.kind == kind}
        assert set(names(room)) <= listed


def test_devices_say_what_is_missing(tmp_path: Path) -> None:
    rows = {row.name: row for row in doctor._devices(tmp_path)}
    assert not rows["nvidia gpu"].works
    assert not rows["energy counter"].works
    assert all(row.works or row.advice for row in rows.values())


def test_command_prints_json_or_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Diagnosis("onnx", "exporter", True, "1.2", "")
    monkeypatch.setattr(doctor, "diagnose", lambda: [row])
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    assert doctor.run(parser.parse_args(["--json"])) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "onnx"
    assert doctor.run(parser.parse_args([])) == 0
    assert "onnx" in capsys.readouterr().out
