"""Trial: an export is loaded and run once before it counts, where this host can."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, cast

from edgepress import methods
from edgepress.export.export_job import NotExportedError
from edgepress.params import validate
from edgepress.records.exported import Exported
from edgepress.runtimes.session import NotHere, Session


def run_once(folder: Path, exported: Exported) -> None:
    """Load an export in its runtime, or its graph in a stand-in, and answer one empty item.

    What does not load, does not run, or gives other shapes is a NotExportedError; a target that
    cannot be tried on this host is left to its device.
    """
    try:
        session = _open(folder, exported)
    except NotHere:
        return
    except Exception as error:
        # What a runtime adds, the file's place and to export again, does not help here.
        cause = error.__context__ or error
        raise NotExportedError(
            f"the file does not load: {cause or type(cause).__name__}"
        ) from error
    item = {port.tensor.name: port.tensor.zeros() for port in exported.part.inputs}
    with closing(session):
        try:
            found = session.run(item)
        except NotHere:
            return
        except Exception as error:
            raise NotExportedError(
                f"the file does not run: {error or type(error).__name__}"
            ) from error
    for port in exported.part.outputs:
        shape = found[port.tensor.name].shape
        if shape != port.tensor.shape:
            raise NotExportedError(
                f"the file gives {port.tensor.name} {shape} instead of {port.tensor.shape}"
            )


def _open(folder: Path, exported: Exported) -> Session:
    word = exported.target.runtime
    module: Any = methods.module("runtimes", word, f"target {exported.target}")
    params = validate(
        module.Params, {"method": word, "threads": 1}, str(exported.target), "runtime"
    )
    try:
        return cast(Session, module.load(folder, exported, params=params))
    except NotHere:
        if not hasattr(module, "stand_in"):
            raise
        return cast(Session, module.stand_in(folder, exported, params=params))
