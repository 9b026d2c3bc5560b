"""dvc.yaml says the truth: its commands, its parameters, and the state each stage depends on."""

from __future__ import annotations

import ast
import importlib.metadata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from edgepress.methods import ROOMS, names
from edgepress.sections import METHODS
from edgepress.state.code import Execution, Tree

ROOT = Path(__file__).parents[2]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
TREE = Tree()


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

    @property
    def execution(self) -> Execution:
        return Execution(self.stage, self.key or None, PARAMS, TREE)


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


STEPS = steps()
each = pytest.mark.parametrize("step", STEPS, ids=[step.name for step in STEPS])
REST = [step for step in STEPS if step.stage != "state"]
each_other = pytest.mark.parametrize("step", REST, ids=[step.name for step in REST])


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("stages", "edgepress", exclude_type_checking_imports=True)


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


@each_other
def test_state_is_a_dependency_of_every_execution(step: Step) -> None:
    from stages.state import place

    assert str(place(step.execution)) in step.deps


@each_other
def test_state_knows_every_module_when_the_stage_can_import_it(step: Step) -> None:
    known = step.execution.modules
    reached = {f"stages.{step.stage}"} | graph().find_upstream_modules(f"stages.{step.stage}")
    assert reached <= known
    named = {name for name in known if name.startswith("edgepress.") and name in graph().modules}
    beyond = {up for name in named for up in graph().find_upstream_modules(name)}
    assert beyond <= known


@each_other
def test_state_knows_no_method_that_no_entry_names(step: Step) -> None:
    """What an unused method says, or the package that it calls, makes nothing stale."""
    rooms = [room for room in ROOMS if room != "tasks"]  # a package, loaded with its files
    methods = {f"edgepress.{room}.{name}" for room in rooms for name in names(room)}
    named = set(step.execution.named())
    assert sorted((step.execution.modules & methods) - named - TREE.closure(named)) == []


@each_other
def test_every_foreign_import_is_a_package_whose_version_is_known(step: Step) -> None:
    distributions = importlib.metadata.packages_distributions()
    execution = step.execution
    here = TREE.outside(execution.modules)
    absent = {"tensorrt", "tensorrt_rtx", "coremltools"}  # not on every machine
    assert sorted(name for name in here if name not in distributions and name not in absent) == []


@each_other
def test_entries_that_choose_methods_are_parameters_or_data_when_a_stage_uses_them(
    step: Step,
) -> None:
    for key in step.execution.constants.get("USES", {}):
        entry = key.format(key=step.key, precision=step.key.rpartition("-")[2])
        held = any(covers(param, entry) for param in step.params)
        # What comes with a Bundle or an export is part of its bytes.
        carried = {"task", "distill.backbone", "distill.head", "train.backbone", "train.head"}
        assert held or entry in carried, f"dvc.yaml: {step.name}: params lack {entry}"


def test_every_method_of_params_is_used_by_a_stage() -> None:
    used = {key for step in REST for key in step.execution.constants.get("USES", {})}
    assert [key for key in METHODS if not any(covers(key, each) for each in used)] == []


@each
def test_data_dependencies_are_made_when_listed(step: Step) -> None:
    made = [Path(out) for other in STEPS for out in other.outs]
    idle = [
        dep
        for dep in step.deps
        if not any(inside(Path(dep), str(out)) or inside(out, dep) for out in made)
    ]
    assert idle == []


def test_every_stage_file_is_in_the_pipeline_when_it_is_a_stage() -> None:
    def is_stage(path: Path) -> bool:
        body = ast.parse(path.read_text()).body
        return any(isinstance(node, ast.FunctionDef) and node.name == "work" for node in body)

    files = {path.stem for path in (ROOT / "stages").glob("*.py") if is_stage(path)}
    assert files == {step.stage for step in STEPS}
