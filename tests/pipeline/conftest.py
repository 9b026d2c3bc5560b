"""One project whose whole graph has been run, shared by the tests of a file."""

from __future__ import annotations

import pytest

from tests.pipeline.project import Project, copy_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose whole graph has been run once."""
    project = copy_project(tmp_path_factory.mktemp("finished"))
    project.run_all()
    return project
