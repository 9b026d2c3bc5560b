from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgepress import cli
from edgepress.methods import ROOMS, names

ROOT = Path(__file__).parents[2]


def test_help_imports_nothing_heavy_when_shown() -> None:
    code = (
        "import sys; from edgepress.cli import main; main(['--help']);"
        "sys.exit(' '.join(sys.modules.keys() & {'torch', 'pydantic', 'numpy', 'yaml'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in cli.COMMANDS:
        assert f"  {name} " in done.stdout


def test_methods_lists_every_method_without_importing_any_when_no_room_is_named() -> None:
    code = (
        "import sys; from edgepress.cli import main; main(['methods']);"
        "sys.exit(' '.join(sys.modules.keys() & {'torch', 'timm', 'sklearn'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for room in ROOMS:
        assert all(f"  {name} " in done.stdout for name in names(room)), room


def test_methods_tells_types_ranges_and_docs_when_asked_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["methods", "data.sources", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert set(entries) == set(names("data.sources"))
    assert entries["digits"]["parameters"] == []
    folder = {parameter["name"]: parameter for parameter in entries["folder"]["parameters"]}
    assert folder["path"]["required"]
    assert folder["path"]["type"] == "string"
    assert folder["path"]["doc"]


def test_methods_tells_the_keys_of_a_mapping_when_a_value_may_be_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["methods", "training"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("augment: one of none, shift, flip_shift or mapping" in line for line in lines)
    assert any("augment.flip: number >= 0, <= 1, optional" in line for line in lines)


def test_methods_tells_what_is_missing_when_a_back_end_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pruning").mkdir()
    (tmp_path / "pruning" / "gone.py").write_text(
        '"""Needs what is not here."""\nimport not_on_this_machine\n'
        "class Params: ...\ndef prune(): ...\n"
    )
    monkeypatch.setattr("edgepress.methods._PACKAGE", tmp_path)
    monkeypatch.setattr("edgepress.pruning.__path__", [str(tmp_path / "pruning")])
    assert cli.main(["methods", "pruning"]) == 0
    out = capsys.readouterr().out
    assert "gone" in out
    assert "not installed here: No module named 'not_on_this_machine'" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["methds"], "unknown command 'methds' (did you mean methods?)"),
        (["methods", "prunning"], "unknown room 'prunning' (did you mean pruning?)"),
        (["methods", "--jsn"], "unrecognized arguments: --jsn; see edgepress methods --help"),
        (["preset"], "the following arguments are required: name"),
        (["preset", "nowhere"], "preset 'nowhere' is not one of"),
        (["params", "absent.yaml"], "absent.yaml: file not found"),
    ],
)
def test_command_refuses_in_one_line_with_exit_2_when_the_input_is_wrong(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_explains_itself_when_asked_for_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: edgepress {name}" in capsys.readouterr().out


def test_command_ends_quietly_when_its_reader_stops_reading() -> None:
    script = f"{sys.executable} -m edgepress.cli methods | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
