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
        assert target.exported is not None
        target.exported.write(tmp_path / "exported" / target.key)
        target.measurement.write(tmp_path / "measured" / target.key)
        target.verdicts.write(tmp_path / "judged" / target.key)
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    assert report.run(parser.parse_args([str(tmp_path)])) == 0
    told = "".join(capsys.readouterr().out.split())
    assert told.startswith(f"Ship{tmp_path}/exported/x86_64-onnxruntime-int8/model.onnxonx86_64")
