from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from edgepress.commands import report
from tests.edgepress.report.conftest import HERE, measured


def test_command_prints_what_validate_wrote_when_pointed_at_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in map(measured, list(HERE)[:2]):
        assert target.measurement is not None
        assert target.verdicts is not None
        target.measurement.write(tmp_path / "measured" / target.key)
        target.verdicts.write(tmp_path / "judged" / target.key)
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    assert report.run(parser.parse_args([str(tmp_path)])) == 0
    assert "x86_64-onnxruntime-int8" in capsys.readouterr().out
