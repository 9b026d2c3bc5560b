"""Code: which files an execution can import, and what counts as a change of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgepress.state.code import Execution, Tree

FILES = {
    "edgepress/__init__.py": "",
    "edgepress/a.py": "import numpy\nfrom edgepress import b\n",
    "edgepress/b.py": "def late():\n    from edgepress.c import thing\n",
    "edgepress/c.py": "thing = 1\n",
    "edgepress/idle.py": "",
    "edgepress/typed.py": "from typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from edgepress import idle\n",
    "edgepress/room/__init__.py": "",
    "edgepress/room/one.py": "from edgepress.c import thing\n",
    "edgepress/room/two.py": "",
    "stages/__init__.py": "",
    "stages/make.py": 'USES = {"made.by": "room"}\nfrom edgepress import a, typed\n',
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(tmp_path)


def execution(tree: Tree, method: str = "one") -> Execution:
    return Execution("make", None, {"made": {"by": {"method": method}}}, Tree(tree.root))


def test_imports_are_followed_into_functions_and_not_into_annotations(tree: Tree) -> None:
    assert tree.closure(["edgepress.a"]) == {
        "edgepress", "edgepress.a", "edgepress.b", "edgepress.c",
    }  # fmt: skip
    assert "edgepress.idle" not in tree.closure(["edgepress.typed"])


def test_method_is_part_of_the_code_when_an_entry_names_it(tree: Tree) -> None:
    one, two = execution(tree, "one"), execution(tree, "two")
    assert "edgepress.room.one" in one.modules
    assert "edgepress.room.one" not in two.modules
    assert one.digest != two.digest


def test_method_of_a_nested_room_is_part_of_the_code_when_an_entrys_part_names_it(
    tree: Tree,
) -> None:
    for name in ("__init__", "one", "two"):
        path = tree.root / f"edgepress/training/optimizers/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from edgepress.c import thing\n")
    found = {}
    for name in ("one", "two"):
        entry = {"method": "one", "optimizer": {"method": name}, "schedule": None}
        found[name] = Execution("make", None, {"made": {"by": entry}}, Tree(tree.root))
    assert "edgepress.training.optimizers.one" in found["one"].modules
    assert "edgepress.training.optimizers.two" not in found["one"].modules
    assert found["one"].digest != found["two"].digest


def test_module_that_no_entry_names_is_a_stranger(tree: Tree) -> None:
    loaded = ["edgepress.a", "edgepress.room.two", "numpy", "edgepress.no_file"]
    assert execution(tree).strangers(loaded) == ["edgepress.room.two"]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("thing = 1\n# a comment\n", True),
        ('"""Says it."""\n\n\nthing = 1\n', True),
        ("thing = (1)\n", True),
        ("thing = 2\n", False),
        ("thing = 1\nother = 1\n", False),
    ],
)
def test_digest_changes_when_what_the_code_does_may_change(
    tree: Tree, text: str, same: bool
) -> None:
    before = execution(tree).digest
    (tree.root / "edgepress/c.py").write_text(text)
    assert (execution(tree).digest == before) is same


def test_template_beside_a_package_counts(tree: Tree) -> None:
    before = execution(tree).digest
    (tree.root / "edgepress/room/templates").mkdir()
    (tree.root / "edgepress/room/templates/page.j2").write_text("{{ a }}")
    assert execution(tree).digest != before


def test_other_peoples_packages_are_named_and_the_standard_library_is_not(tree: Tree) -> None:
    assert tree.outside(tree.closure(["edgepress.a", "edgepress.typed"])) == {"numpy"}


def test_memory_gives_the_same_answers_and_notices_changed_files(tree: Tree) -> None:
    memory = tree.root / "memory.json"
    first = Tree(tree.root, memory)
    expected = first.digest(first.closure(["edgepress.a"]))
    first.remember()
    assert memory.is_file()
    again = Tree(tree.root, memory)
    assert again.digest(again.closure(["edgepress.a"])) == expected
    (tree.root / "edgepress/c.py").write_text("thing = 12345\n")
    changed = Tree(tree.root, memory)
    assert changed.digest(changed.closure(["edgepress.a"])) != expected


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}'])
def test_damaged_memory_is_forgotten(tree: Tree, text: str) -> None:
    memory = tree.root / "memory.json"
    memory.write_text(text)
    assert Tree(tree.root, memory).closure(["edgepress.c"]) == {"edgepress", "edgepress.c"}


USERS = {
    "nets/__init__.py": "",
    "nets/net.py": "import torch\nfrom .layers import Block\nfrom . import parts\nimport shared\n",
    "nets/layers.py": "from ..above import nothing\nBlock = 1\n",
    "nets/parts.py": "",
    "nets/idle.py": "",
    "shared.py": "from edgepress.c import thing\n",
}


@pytest.fixture
def brought(tree: Tree, tmp_path: Path) -> Execution:
    """An execution whose method names a file of the user's, in a folder of its own."""
    work = tmp_path / "work"
    for name, text in USERS.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    entry = {"method": "two", "entry": "nets.net:Net"}
    return Execution("make", None, {"made": {"by": entry}}, Tree(tree.root, work=work))


def test_users_files_are_code_when_an_entry_names_one_and_it_imports_others(
    brought: Execution,
) -> None:
    users = {name for name in brought.modules if not name.startswith(("edgepress", "stages"))}
    assert users == {"nets", "nets.net", "nets.layers", "nets.parts", "shared"}
    assert "torch" in brought.tree.outside(brought.modules)
    assert "" not in brought.tree.outside(brought.modules)


@pytest.mark.parametrize(
    ("file", "text", "same"),
    [
        ("nets/layers.py", "Block = 2\n", False),
        ("shared.py", "value = 3\n", False),
        ("nets/parts.py", "# a comment\n", True),
        ("nets/idle.py", "value = 3\n", True),
    ],
)
def test_digest_changes_when_a_file_that_the_users_module_imports_does(
    file: str, text: str, same: bool, brought: Execution
) -> None:
    before, work = brought.digest, brought.tree.work
    (work / file).write_text(text)
    again = Execution("make", None, brought.params, Tree(brought.tree.root, work=work))
    assert (again.digest == before) is same


def test_users_file_is_a_stranger_when_it_was_imported_under_a_computed_name(
    brought: Execution,
) -> None:
    assert brought.strangers(["nets.net", "nets.idle", "torch", "shared"]) == ["nets.idle"]


def test_files_beside_the_project_are_no_code_when_no_entry_names_them(
    tree: Tree, brought: Execution
) -> None:
    plain = Execution("make", None, {"made": {"by": {"method": "two"}}}, brought.tree)
    assert plain.strangers(["nets.net", "shared"]) == []
    assert plain.digest == execution(tree, "two").digest
