"""The repository's files agree with each other, and name no machine and no package index."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgepress.cli import COMMANDS

ROOT = Path(__file__).parents[2]
FOREIGN = re.compile(
    r"/wo[r]k/|/ro[o]t/|/ho[m]e/\w|(?<!no-emit-)index-ur[l]|pythonhoste[d]|pypi\.or[g]|find-link[s]"
)
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)", re.MULTILINE)


def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def pins() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    return {canonicalize_name(m["name"]): m["version"] for m in PIN.finditer(text)}


def test_files_name_no_machine_and_no_index_when_tracked() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes()
        if b"\0" in text:
            continue
        for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
            if FOREIGN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_lock_pins_every_requirement_within_its_bounds_when_resolved() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    locked = pins()
    for requirement in (Requirement(text) for group in groups for text in group):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in requirements.lock; run make lock"
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_lock_holds_pins_only_when_read() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not line.startswith((" ", "#")) and "==" not in line] == []


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "infra" / "README.md"]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_commands_exist_when_a_document_tells_to_run_them(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert set(re.findall(r"\bmake ([a-z]+)", code)) <= targets
    assert set(re.findall(r"(?:^|[`\s])edgepress ([a-z]+)", code)) <= set(COMMANDS)


def test_ci_runs_exactly_the_two_commands_when_called() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make run", "make test"]


def test_help_lists_every_target_when_asked() -> None:
    text = (ROOT / "Makefile").read_text()
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for target in re.findall(r"^([a-z]+):", text, re.MULTILINE):
        assert re.search(rf"^  make {target} +\w", listed, re.MULTILINE), target
