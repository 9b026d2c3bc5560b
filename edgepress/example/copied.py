"""Copied: modules of ours that need NumPy and Pillow alone, as a small package of their own.

What an example does to a picture and to outputs is the very code of training and validation, so it
cannot drift from it. Records and parameters are used there by their fields alone: their imports,
which only annotations need, are left out, and so are classes of parameters.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

_LEFT_OUT = ("edgepress.records", "edgepress.params", "edgepress.tasks.task", "pydantic", "pyarrow")
_LEFT_OUT_ENDS = (".answers", ".labels")
_PARAMETERS = "Config"
_PACKAGE = '''"""The code of edgepress that prepares pictures and reads outputs, copied from there.

It needs NumPy and Pillow alone. Apache-2.0.
"""
'''


def copy(roots: Sequence[str], out: Path) -> None:
    """Write modules, and what of ours they import, into a new folder `out` that is a package."""
    out.mkdir()
    (out / "__init__.py").write_text(_PACKAGE, encoding="utf-8")
    waiting, done = list(roots), set[str]()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        path = out / f"{_last(name)}.py"
        if path.exists():
            raise ValueError(f"{name}: another module has its last name; copy one of them alone")
        text, more = _rewritten(_source(name).read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        waiting += more


def _rewritten(source: str) -> tuple[str, list[str]]:
    """Return a module's text with the imports of the copy, and the modules that it imports."""
    lines: list[str | None] = [*source.splitlines()]
    more: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            found = list(_imports(node))
            if found == [ast.unparse(node)]:
                continue
            more += [each for each in map(_module_of, _ours(node)) if each]
        elif isinstance(node, ast.ClassDef) and _is_parameters(node):
            found = []
        else:
            continue
        decorated = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(each.lineno for each in decorated)])
        last = node.end_lineno or first
        lines[first - 1 : last] = ["\n".join(found) or None, *[None] * (last - first)]
    return "\n".join(line for line in lines if line is not None) + "\n", more


def _imports(node: ast.ImportFrom) -> Iterator[str]:
    """Yield the lines that stand for an import in the copy."""
    module = node.module or ""
    if not module.startswith("edgepress"):
        if not _left_out(module):
            yield ast.unparse(node)
        return
    for name in _ours(node):
        if (whole := _module_of(name)) is None:
            continue
        if whole == name:
            yield f"from . import {_last(name)}"
        else:
            yield f"from .{_last(whole)} import {_last(name)}"


def _ours(node: ast.ImportFrom) -> list[str]:
    module = node.module or ""
    if not module.startswith("edgepress"):
        return []
    return [f"{module}.{alias.name}" for alias in node.names]


def _module_of(name: str) -> str | None:
    """Return the module that a dotted name is or lies in; None for what is left out."""
    package = name.rpartition(".")[0]
    path = Path(*name.split("."))
    root = _source("edgepress").parents[1]
    module = name if (root / path).with_suffix(".py").is_file() else package
    if _left_out(module) or _last(name) in _parameters(module):
        return None
    return module


def _parameters(module: str) -> set[str]:
    """Return the names of a module's classes of parameters."""
    body = ast.parse(_source(module).read_text(encoding="utf-8")).body
    return {each.name for each in body if isinstance(each, ast.ClassDef) and _is_parameters(each)}


def _left_out(module: str) -> bool:
    return module.startswith(_LEFT_OUT) or module.endswith(_LEFT_OUT_ENDS)


def _is_parameters(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == _PARAMETERS for base in node.bases)


def _source(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ValueError(f"{name}: no such module")
    return Path(spec.origin)


def _last(name: str) -> str:
    return name.rpartition(".")[2]
