"""Code: which of our files a stage execution can import, and one hash over what they say.

Imports are followed in the syntax tree, in functions too. Methods are imported by name: a stage's
module says in `USES` which entries of params.yaml name them, whose parts may name further ones, and
in `MODULES` which modules the words of its target name. Files of the user's own that a method's
`entry` names are followed like ours, with what they import of the working directory. Comments,
docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgepress import recipes
from edgepress.methods import PARTS, exporter_of
from edgepress.params import lookup
from edgepress.records.record import write_atomically

PACKAGES = ("edgepress", "stages")
ROOT = Path(__file__).parents[2]
ENTRY = "entry"
"""Parameter of a method that names a module of the user's own: `package.file:name`."""
LAYOUT = 2
"""Of what is remembered of a file; another number forgets it."""
_DECLARED = ("USES", "MODULES", "SETTINGS", "FILES", "PROCESSOR")


@dataclass(frozen=True)
class Source:
    """What one file says, and whom it imports."""

    digest: str
    imports: frozenset[str]
    """Dotted names it may import, ours and others'; a relative one begins with its dots."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """USES, MODULES and the like, by name."""


@dataclass
class Tree:
    """The project's own modules below a root, and the user's below another; read once."""

    root: Path = ROOT
    memory: Path | None = None
    """File of what was read before, by path, time and size; None remembers nothing."""
    work: Path = Path()
    """Where the user's own modules are imported from."""
    _read: dict[str, Source | None] = field(default_factory=dict)

    def source(self, module: str) -> Source | None:
        """Return a module of ours or of the user's; None for any other name."""
        if module not in self._read:
            path = self._path(module)
            self._read[module] = None if path is None else self._remembered(path)
        return self._read[module]

    def remember(self) -> None:
        """Keep what was read for the next process, if there is a file for it."""
        if self.memory is not None and self._fresh:
            self._fresh.clear()
            write_atomically(self.memory, json.dumps(self._known))

    @cached_property
    def _known(self) -> dict[str, Any]:
        try:
            known = json.loads((self.memory or Path()).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    @cached_property
    def _fresh(self) -> set[str]:
        return set()

    def _remembered(self, path: Path) -> Source:
        status = path.stat()
        name, stamp = str(path), f"{LAYOUT} {status.st_mtime_ns} {status.st_size}"
        held = self._known.get(name)
        if not isinstance(held, dict) or held.get("stamp") != stamp:
            source = _parse(path)
            held = {
                "stamp": stamp,
                "digest": source.digest,
                "imports": sorted(source.imports),
                "constants": dict(source.constants),
            }
            self._known[name] = held
            self._fresh.add(name)
        return Source(held["digest"], frozenset(held["imports"]), held["constants"])

    def closure(self, roots: Iterable[str]) -> frozenset[str]:
        """Return the modules that importing `roots` can load, their packages among them."""
        waiting, found = list(roots), set[str]()
        while waiting:
            name = waiting.pop()
            source = None if name in found else self.source(name)
            if source is None:
                continue
            found.add(name)
            waiting += [name.rpartition(".")[0], *self._ours(name, source.imports)]
        return frozenset(found - {""})

    def digest(self, modules: Iterable[str]) -> str:
        """Return one hash over what modules say, and the templates beside them."""
        whole = hashlib.sha256()
        for name in sorted(modules):
            source, path = self.source(name), self._path(name)
            if source is None or path is None:
                continue
            whole.update(f"{name} {source.digest}\n".encode())
            if path.name != "__init__.py":
                continue
            for template in sorted((path.parent / "templates").glob("*")):
                digest = hashlib.sha256(template.read_bytes()).hexdigest()
                whole.update(f"{template.name} {digest}\n".encode())
        return whole.hexdigest()

    def outside(self, modules: Iterable[str]) -> frozenset[str]:
        """Return the top-level names of other people's packages that modules import."""
        imports = {
            name.partition(".")[0]
            for module in modules
            if (source := self.source(module)) is not None
            for name in source.imports
            if not name.startswith(".")
        }
        return frozenset(imports - set(PACKAGES) - set(sys.stdlib_module_names))

    def _ours(self, importer: str, names: Iterable[str]) -> Iterator[str]:
        users = not _is_ours(importer)  # What we import is never a file of the user's.
        for name in (self._absolute(each, importer) for each in names):
            if users or _is_ours(name):
                # `from a.b import c` names a module or something in one.
                yield name if self._path(name) is not None else name.rpartition(".")[0]

    def _absolute(self, name: str, importer: str) -> str:
        """Return a relative name as it is from the root."""
        if not name.startswith("."):
            return name
        path, packages = self._path(importer), importer.split(".")
        above = len(name) - len(name.lstrip(".")) - (path is not None and path.stem == "__init__")
        return ".".join([*packages[: len(packages) - above], name.lstrip(".")])

    def _path(self, module: str) -> Path | None:
        root = self.root if _is_ours(module) else self.work
        stem = root.joinpath(*module.split("."))
        for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py") if module else ():
            if path.is_file():
                return path
        return None


@dataclass(frozen=True)
class Execution:
    """One execution of one stage, with the parameters that choose its methods."""

    stage: str
    key: str | None
    params: Mapping[str, Any]
    tree: Tree = field(default_factory=Tree)

    @property
    def title(self) -> str:
        """The stage as DVC writes it: name or name@key."""
        return self.stage if self.key is None else f"{self.stage}@{self.key}"

    @property
    def constants(self) -> Mapping[str, Any]:
        """The literals of the stage's module."""
        source = self.tree.source(f"stages.{self.stage}")
        return {} if source is None else source.constants

    @cached_property
    def modules(self) -> frozenset[str]:
        """Every module of ours that the execution can load."""
        return self.tree.closure([f"stages.{self.stage}", *self.named()])

    @property
    def digest(self) -> str:
        """One hash over the code of the execution, and over the named recipes that it uses."""
        code = self.tree.digest(self.modules)
        if not (used := self.recipes()):
            return code
        return hashlib.sha256(json.dumps([code, used], sort_keys=True).encode()).hexdigest()

    def recipes(self) -> dict[str, Any]:
        """Return by key of params.yaml the entries that name a recipe, with all that it says."""
        words = self._words()
        keys = [key.format(**words) for key in self.constants.get("USES", {})]
        entries = {key: lookup(dict(self.params), key, "params.yaml") for key in keys}
        return {
            key: recipes.expanded(entry, f"params.yaml: {key}")
            for key, entry in entries.items()
            if isinstance(entry, dict) and entry.get(recipes.BASE) is not None
        }

    def strangers(self, loaded: Iterable[str]) -> list[str]:
        """Return which of the modules loaded are ours, or the user's, and not of the closure."""
        users = not all(map(_is_ours, self.modules))
        asked = [name for name in loaded if users or _is_ours(name)]
        return sorted(name for name in asked if name not in self.modules and self.tree.source(name))

    def named(self) -> Iterator[str]:
        """Yield the modules of the methods that params.yaml and the stage's key name."""
        words = self._words()
        for key, rooms in self.constants.get("USES", {}).items():
            entry = lookup(dict(self.params), key.format(**words), "params.yaml")
            for room in rooms.split():
                top, _, file = room.partition(":")
                name = f"edgepress.{top}.{entry['method']}"
                yield f"{name}.{file}" if file else name
            if isinstance(brought := entry.get(ENTRY), str):
                yield brought.partition(":")[0]
            entry = recipes.expanded(entry, f"params.yaml: {key}")
            for part, room in PARTS.items():
                if isinstance(entry.get(part), dict):
                    yield f"edgepress.{room}.{entry[part].get('method')}"
        for template in self.constants.get("MODULES", ()):
            yield template.format(**words)

    def settings(self) -> dict[str, Any]:
        """Return what the stage's SETTINGS name in params.yaml by words of its key."""
        keys = [key.format(**self._words()) for key in self.constants.get("SETTINGS", ())]
        return {key: lookup(dict(self.params), key, "params.yaml") for key in keys}

    def _words(self) -> dict[str, str]:
        """Return what a key's words stand for: precision, runtime and exporter of a target."""
        words = {"key": self.key or ""}
        parts = (self.key or "").split("-")
        if len(parts) == 3:
            words.update(runtime=parts[1], precision=parts[2])
            words["exporter"] = exporter_of(parts[1], f"params.yaml: places: {self.key}")
        return words


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _parse(path: Path) -> Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in _DECLARED:
                constants[name] = ast.literal_eval(statement.value)
    imports: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        imports.update(_imported(node))
        waiting += ast.iter_child_nodes(node)
    for each in ast.walk(tree):
        _forget_docstring(each)
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return Source(digest, frozenset(imports), constants)


def _imported(node: ast.AST) -> list[str]:
    """Return the names that one node may import while it runs."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        place = "." * node.level + (f"{node.module}." if node.module else "")
        return [place + alias.name for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return [first.value]
    return []


def _forget_docstring(node: ast.AST) -> None:
    """Drop bare strings: docstrings, and those that document a field."""
    body = getattr(node, "body", None)
    if isinstance(body, list):
        node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
