"""State dicts: the tensors of a weights file by name; nothing else in it is ever unpickled."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgepress.errors import UserError

Nests = dict[str, dict[str, Tensor]]
"""Where a mapping of tensors lies in the file, as `model.` or `ema.module.` -> its tensors by name,
in the file's order. A plain state dict lies at the empty place."""

_CONVERT = (
    "where you trust the file, write its tensors alone, once, in the program that made it: "
    "torch.save(model.state_dict(), 'weights.pth')"
)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read(path: Path) -> Nests:
    """Return every mapping of tensors in a safetensors file, or in one that torch.save wrote.

    A file that needs more than tensors and plain values to be rebuilt is a UserError.
    """
    loaded = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    nests = dict(_nests(loaded, ""))
    if not nests:
        raise UserError(
            f"{path}: holds no tensors by name but {type(loaded).__name__}; expected what "
            "torch.save(model.state_dict(), FILE) writes, or safetensors"
        )
    return nests


def _safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors: {error}") from None


def _torch(path: Path) -> Any:
    try:
        # Training programs keep their arguments beside the tensors; a Namespace is plain values.
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _GLOBAL.search(str(error))
        if found is None:
            raise UserError(_unreadable(path)) from None
        raise UserError(
            f"{path}: holds a pickled {found[1]} and not tensors alone, so it is not loaded; "
            f"{_CONVERT}"
        ) from None
    except Exception as error:  # torch.load fails on foreign bytes in many ways.
        if "TorchScript" in str(error):
            raise UserError(f"{path}: is a TorchScript program, not tensors; {_CONVERT}") from None
        raise UserError(_unreadable(path)) from None


def _unreadable(path: Path) -> str:
    return f"{path}: is no file of torch.save, or a damaged one; give a state dict or .safetensors"


def _nests(loaded: Any, place: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(loaded, Mapping):
        return
    tensors = {
        name: value.detach()
        for name, value in loaded.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if tensors:
        yield place, tensors
    for name, value in loaded.items():
        yield from _nests(value, f"{place}{name}.")
