"""Any torch.nn.Module of your own project: a file of the working directory and a name in it.

The file is imported, never evaluated from text, and what a Bundle names is called when the Bundle
is loaded: it has to lie in the working directory and be defined in that file.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from edgepress.backbones.features import Backbone, Features, measured, tried
from edgepress.errors import UserError, nearest
from edgepress.params import Config
from edgepress.records.inputs import InputSpec

Value = int | float | str | bool | None


class Params(Config):
    """Where the network is, and what it is made with."""

    method: Literal["module"]
    entry: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
    """`package.file:name`, a class or function of a file in the working directory."""
    arguments: dict[str, Value | list[Value]] = {}
    """Its keyword arguments; the channels of the input are among them where it wants them."""


class Module(Backbone):
    """The user's module, its features in the form that heads take."""

    def __init__(self, model: nn.Module, features: Features) -> None:
        """Wrap a module that gives these features."""
        super().__init__()
        self.model = model
        self.features = features

    def forward(self, x: Tensor) -> Any:
        """Map images [N, C, H, W] to pooled features, a list of maps, or outputs of its own."""
        found = self.model(x)
        if self.features != "maps":
            return found
        maps = found.values() if isinstance(found, Mapping) else found
        return [maps] if isinstance(maps, Tensor) else list(maps)


def build(spec: InputSpec, features: Features, *, params: Params) -> Backbone:
    """Return the module; one that cannot be made, or gives other features, is a UserError."""
    name = f"module {params.entry!r}"
    network = Module(_made(params), features)
    if features == "outputs":
        tried(network, spec, name)
        network.info = ()
        return network
    measured(network, spec, name)
    strides = [each.reduction for each in network.info]
    if features == "pooled" and strides != [0]:
        raise UserError(
            f"{name} gives maps, and the head takes one vector an image [N, D]; end it with a "
            "pooling, or choose head own if these are the task's outputs"
        )
    if features == "maps" and (0 in strides or strides != sorted(strides)):
        raise UserError(
            f"{name} gives features of strides {strides}, and the head takes maps [N, C, H, W], "
            "the finest first; return a list of such"
        )
    return network


def _made(params: Params) -> nn.Module:
    file, _, name = params.entry.partition(":")
    factory = _factory(_imported(file, params.entry), name, params.entry)
    try:
        made = factory(**params.arguments)
    except Exception as error:  # The user's own code may raise anything.
        raise UserError(
            f"entry {params.entry!r} with arguments {params.arguments}: "
            f"{type(error).__name__}: {error}"
        ) from None
    if not isinstance(made, nn.Module):
        raise UserError(
            f"entry {params.entry!r}: returned {type(made).__name__}, expected a torch.nn.Module"
        )
    return made


def _imported(name: str, entry: str) -> ModuleType:
    stem = Path.cwd().joinpath(*name.split("."))
    files = (stem.with_suffix(".py"), stem / "__init__.py")
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        path = "/".join(name.split("."))
        raise UserError(f"entry {entry!r}: there is no {path}.py in the working directory")
    if str(Path.cwd()) not in sys.path:  # `python -m` has it, the command edgepress has not.
        sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except Exception as error:  # As above.
        raise UserError(
            f"entry {entry!r}: importing it failed: {type(error).__name__}: {error}"
        ) from None
    if Path(module.__file__ or "").resolve() != found.resolve():
        raise UserError(
            f"entry {entry!r}: {module.__file__} has the same name and was imported before; "
            "rename the file"
        )
    return module


def _factory(module: ModuleType, name: str, entry: str) -> Callable[..., Any]:
    defined = [
        key
        for key, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    if name not in defined:
        known = ", ".join(defined) or "none"
        raise UserError(
            f"entry {entry!r}: its file defines no class or function {name!r}; it defines "
            f"{known}{nearest(name, defined)}"
        )
    return vars(module)[name]  # type: ignore[no-any-return]
