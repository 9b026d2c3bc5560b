"""Fingerprints: still while nothing changes, and one tool's file when one tool changes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from edgepress.devices import fingerprint, host


def test_second_record_touches_nothing_when_nothing_changed(tmp_path: Path) -> None:
    assert len(fingerprint.record(tmp_path)) == len(fingerprint.TOOLS)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert fingerprint.record(tmp_path) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_only_the_changed_tools_file_changes_when_a_version_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint.record(tmp_path)
    real = host._version
    monkeypatch.setattr(host, "_version", lambda name: "0" if name == "nncf" else real(name))
    assert fingerprint.record(tmp_path) == [tmp_path / "openvino.json"]
    held = json.loads((tmp_path / "openvino.json").read_text())
    assert held["packages"]["nncf"] == "0"


def test_every_file_changes_when_the_instruction_set_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint.record(tmp_path)
    other = dataclasses.replace(host.here(), isa_flags=("avx2", "avx_vnni"))
    monkeypatch.setattr(host, "here", lambda: other)
    assert len(fingerprint.record(tmp_path)) == len(fingerprint.TOOLS)


def test_command_records_into_its_folder_and_refuses_anything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fingerprint.main([str(tmp_path / "devices")]) == 0
    assert {path.stem for path in (tmp_path / "devices").iterdir()} == set(fingerprint.TOOLS)
    assert fingerprint.main([]) == 2
    assert "usage" in capsys.readouterr().err
