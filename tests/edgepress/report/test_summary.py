from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edgepress.errors import UserError
from edgepress.report import summary
from edgepress.report.run import Run


def written(run: Run, width: int = 100) -> str:
    out = io.StringIO()
    summary.show(run.targets, Console(file=out, width=width, no_color=True))
    return out.getvalue()


def test_table_has_a_line_per_target_when_shown(finished: Run) -> None:
    lines = written(finished).splitlines()
    line = next(line for line in lines if "x86_64-executorch-int8" in line)
    cells = " ".join(line.split())
    assert cells == "x86_64-executorch-int8 92.89 % 0.66 ms 101.7 kB 0.92× ✗ fail"
    for target in finished.targets:
        assert any(line.strip().startswith(target.key) for line in lines)


def test_table_fits_when_the_terminal_is_80_wide(finished: Run) -> None:
    assert max(map(len, written(finished, 80).splitlines())) <= 80


def test_what_to_ship_is_said_first_when_a_target_passed(finished: Run) -> None:
    assert written(finished).startswith("Ship x86_64-openvino-int8 on x86_64: the fastest of 7")


def test_brackets_are_text_when_a_reason_has_them(finished: Run) -> None:
    target = finished.targets[0]
    assert target.verdicts is not None
    verdict = target.verdicts.verdicts[0].model_copy(
        update={"outcome": "fail", "reason": "class [red] lost"}
    )
    verdicts = target.verdicts.model_copy(update={"verdicts": (verdict,)})
    run = replace(finished, targets=(replace(target, verdicts=verdicts),))
    assert "class [red] lost" in written(run)


def test_folder_is_named_when_it_holds_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the validate stage or name its folder"):
        summary.read(tmp_path)


def test_targets_keep_the_order_of_the_keys_when_keys_are_given(
    tmp_path: Path, finished: Run
) -> None:
    for target in finished.targets:
        if target.measurement is not None:
            target.measurement.write(tmp_path / "measured" / target.key)
    keys = [target.key for target in summary.read(tmp_path)]
    assert keys == sorted(keys)
    wanted = [*reversed(keys), "elsewhere-runtime-fp32"]
    assert [target.key for target in summary.read(tmp_path, wanted)] == wanted[:-1]
