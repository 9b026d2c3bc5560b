"""dvc.yaml says the truth: its modules, its parameters, and the code each stage depends on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from edgepress.methods import ROOMS, names
from edgepress.sections import METHODS

ROOT = Path(__file__).parents[2]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())

LOADED = {
    "distill": ["train.backbone"],
    "slim": ["distill.backbone"],
    "quantize": ["distill.backbone"],
    "export": ["distill.backbone"],
}
"""Stage -> the entries whose backbone it rebuilds from a Bundle it reads."""


@dataclass(frozen=True)
class Step:
    """One resolved stage of dvc.yaml."""

    name: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def stage(self) -> str:
        return self.name.partition("@")[0]

    @property
    def key(self) -> str:
        return self.name.partition("@")[2]


def steps() -> list[Step]:
    """Let DVC itself resolve dvc.yaml."""
    from dvc.dependency.param import ParamsDependency
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        return [
            Step(
                name=stage.name,
                cmd=stage.cmd,
                deps=tuple(d.def_path for d in stage.deps if not isinstance(d, ParamsDependency)),
                params=tuple(
                    key for d in stage.deps if isinstance(d, ParamsDependency) for key in d.params
                ),
                outs=tuple(out.def_path for out in stage.outs),
            )
            for stage in repo.index.stages
            if getattr(stage, "name", None)
        ]


STARTED = {"validate": {"edgepress.devices.probe"}}
"""Stage -> modules it starts as a process of their own, which no import shows."""

STEPS = steps()
each = pytest.mark.parametrize("step", STEPS, ids=[step.name for step in STEPS])


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("stages", "edgepress", include_external_packages=False)


def source(module: str) -> Path:
    path = Path(*module.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


def says_something(path: Path) -> bool:
    """Tell a module from an __init__.py that is a docstring only."""
    body = ast.parse((ROOT / path).read_text()).body
    return any(not isinstance(node, ast.Expr | ast.ImportFrom) for node in body)


def modules(step: Step) -> set[str]:
    """Return the stage's module, the methods its parameters name, and all they import."""
    roots = {f"stages.{step.stage}", *named(step), *STARTED.get(step.stage, ())}
    return roots.union(*(graph().find_upstream_modules(root) for root in roots))


def named(step: Step) -> Iterator[str]:
    """Yield the modules a stage imports by name: methods, and backbones of Bundles it loads."""
    keys = [key for key in METHODS if any(covers(param, key) for param in step.params)]
    for key in keys + LOADED.get(step.stage, []):
        yield f"edgepress.{METHODS[key]}.{at(key)['method']}"
    if step.stage == "quantize":
        yield f"edgepress.quantization.{PARAMS['quantize'][step.key]['method']}"
    if step.stage == "export":
        yield f"edgepress.export.{PARAMS['targets'][step.key]['export']}"
    if step.stage == "validate":
        yield f"edgepress.runtimes.{step.key.split('-')[1]}"


def possible(step: Step) -> set[str]:
    """Return what any other method of the stage's rooms would import: a template lists them all."""
    rooms = {module.rpartition(".")[0].removeprefix("edgepress.") for module in named(step)}
    roots = {f"edgepress.{room}.{name}" for room in rooms for name in names(room)}
    return roots.union(*(graph().find_upstream_modules(root) for root in roots))


def covers(param: str, key: str) -> bool:
    """Tell whether a params entry of dvc.yaml holds, or lies in, a key."""
    return key == param or key.startswith(f"{param}.") or param.startswith(f"{key}.")


def at(key: str) -> Any:
    value: Any = PARAMS
    for part in key.split("."):
        value = value[part]
    return value


def inside(path: Path, dep: str) -> bool:
    return path == Path(dep) or Path(dep) in path.parents


@each
def test_command_runs_the_stage_of_the_same_name_when_resolved(step: Step) -> None:
    expected = f"python -m stages.{step.stage} {step.key}".strip()
    assert step.cmd == expected
    assert (ROOT / "stages" / f"{step.stage}.py").exists()


@each
def test_parameters_exist_when_a_stage_names_them(step: Step) -> None:
    for key in step.params:
        at(key)


@each
def test_every_module_is_a_dependency_when_the_stage_imports_it(step: Step) -> None:
    methods = {f"edgepress.{room}.{name}" for room in ROOMS for name in names(room)}
    files = sorted({source(module) for module in modules(step) | (possible(step) - methods)})
    missing = [
        str(file)
        for file in files
        if says_something(file) and not any(inside(file, dep) for dep in step.deps)
    ]
    assert missing == [], f"dvc.yaml: {step.name}: deps lack {' '.join(missing)}"


@pytest.mark.parametrize("stage", sorted({step.stage for step in STEPS}))
def test_no_module_is_a_dependency_when_no_variant_or_method_imports_it(stage: str) -> None:
    variants = [step for step in STEPS if step.stage == stage]
    used = set().union(*(modules(step) for step in variants), *map(possible, variants))
    files = {source(module) for module in used}
    listed = {dep for step in variants for dep in step.deps if dep.endswith(".py")}
    idle = sorted(dep for dep in listed if Path(dep) not in files)
    assert idle == [], f"dvc.yaml: {stage}: deps not imported: {' '.join(idle)}"


@each
def test_code_dependencies_exist_when_listed(step: Step) -> None:
    made = {out for other in STEPS for out in other.outs}
    given = [dep for dep in step.deps if not any(inside(Path(dep), out) for out in made)]
    assert [dep for dep in given if not (ROOT / dep).exists() and dep.split("/")[0] != "data"] == []


def test_every_stage_file_is_in_the_pipeline_when_it_is_a_stage() -> None:
    def is_stage(path: Path) -> bool:
        body = ast.parse(path.read_text()).body
        return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node) for node in body)

    files = {path.stem for path in (ROOT / "stages").glob("*.py") if is_stage(path)}
    assert files == {step.stage for step in STEPS}
