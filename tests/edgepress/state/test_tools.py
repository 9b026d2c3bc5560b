from __future__ import annotations

from importlib import metadata

from edgepress.state import tools


def test_versions_are_of_the_distributions_behind_import_names() -> None:
    found = tools.versions(["PIL", "numpy", "no_such_package"])
    assert found == {"numpy": metadata.version("numpy"), "pillow": metadata.version("pillow")}


def test_processor_names_the_machine_only_where_time_is_measured() -> None:
    assert "machine" not in tools.processor(whole=False)
    assert tools.processor(whole=True)["machine"]
