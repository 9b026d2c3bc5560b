from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import yaml
from prefect import get_client, task
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Failed
from prefect.workers.process import ProcessWorker

from flows import pipeline as module
from flows.pipeline import STAGE_BYTES, PipelineError, default_places, may_pass, pipeline
from flows.stage_process import StageFailedError

# A server and a dozen processes: half a minute on an idle machine, many on a crowded one.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
INFRA = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())


@pytest.fixture
def flow_project(project: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small project; params.yaml is not of our kind there, so its check is left out."""
    monkeypatch.setattr(module, "_command", lambda *arguments: None)
    return project


def spans(project: Path) -> dict[str, tuple[float, float]]:
    """Return when each stage that ran began and ended."""
    rows = [line.split() for line in (project / "times.log").read_text().splitlines()]
    return {name: (float(start), float(end)) for name, start, end in rows}


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def artifacts() -> dict[str, Any]:
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/latest/filter", json={}).json()
    return {artifact["key"]: artifact["data"] for artifact in found}


PROBE = """\
from pathlib import Path
from prefect import flow

@flow
def probe():
    Path("seen").write_text(Path("params.yaml").read_text())
"""


def deploy(variables: dict[str, Any]) -> str:
    """Deploy probe.py as infra/prefect.yaml deploys the pipeline, and ask for a run of it."""
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name="gpu", type="process", base_job_template=template)
    with get_client(sync_client=True) as client:
        client.create_work_pool(pool, overwrite=True)
        deployment = client.create_deployment(
            client.create_flow_from_name("probe"),
            "nightly",
            entrypoint="probe.probe",
            work_pool_name="gpu",
            pull_steps=INFRA["pull"],
            job_variables=variables,
        )
        return str(client.create_flow_run_from_deployment(deployment).id)


def work_once(run: str) -> str:
    """Serve the pool from the working directory until the run has ended; return its state."""

    async def serve() -> None:
        async with ProcessWorker(work_pool_name="gpu") as worker:
            await worker.sync_with_backend()
            await worker.get_and_submit_flow_runs()

    asyncio.run(serve())
    with get_client(sync_client=True) as client:
        return str(client.read_flow_run(UUID(run)).state_name)


def task_names() -> set[str]:
    with get_client(sync_client=True) as client:
        return {run.name for run in client.read_task_runs(limit=200)}


def test_flow_runs_every_stage_in_order_and_times_alone_when_all_is_new(
    flow_project: Path,
) -> None:
    pipeline(places=2)
    when = spans(flow_project)
    assert len(when) == 6
    assert (flow_project / "made" / "report").exists()
    exports = [when[f"export@{key}"] for key in "ab"]
    assert all(when["ingest"][1] <= start for start, _ in exports)
    for key in "ab":
        measured = when[f"validate@{key}"]
        assert not any(overlap(measured, when[name]) for name in when if name != f"validate@{key}")
    assert {"ingest", "export@a", "validate@b", "report"} <= task_names()
    table = artifacts()["stages"]
    assert "| ingest | ran |" in table
    assert artifacts()["verdicts"] in ("[]", [])

    (flow_project / "times.log").unlink()
    pipeline(stages=["export@*"], places=1)
    assert not (flow_project / "times.log").exists()
    assert "| export@a | unchanged |" in artifacts()["stages"]
    assert "report" not in artifacts()["stages"]


def test_flow_fails_with_the_stages_line_and_goes_on_elsewhere_when_one_refuses(
    flow_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (flow_project / "params.yaml").read_text()
    (flow_project / "params.yaml").write_text(text.replace("b: good", "b: bad"))
    with pytest.raises(PipelineError, match=r"^export@b: params\.yaml: export\.b: bad$"):
        pipeline(places=2)
    assert set(spans(flow_project)) == {"ingest", "export@a", "validate@a"}
    table = artifacts()["stages"]
    assert "| export@b | failed |  | export@b: params.yaml: export.b: bad |" in table
    assert "| report | not started |" in table
    assert "| validate@b | not started |" in table


def test_run_works_in_the_workers_checkout_when_it_was_deployed(flow_project: Path) -> None:
    (flow_project / "probe.py").write_text(PROBE)
    (nightly,) = (each for each in INFRA["deployments"] if each["name"] == "nightly")
    run = deploy(nightly["work_pool"]["job_variables"])
    assert work_once(run) == "Completed"
    assert (flow_project / "seen").read_text() == (flow_project / "params.yaml").read_text()


def test_may_pass_allows_a_retry_only_when_the_failure_may_go_away() -> None:
    @task
    def stage() -> None: ...

    def state(error: Exception) -> Any:
        return Failed(data=error)

    run: Any = None
    assert may_pass(stage, run, state(StageFailedError("x", "locked", passing=True)))
    assert not may_pass(stage, run, state(StageFailedError("x", "wrong", passing=False)))
    assert not may_pass(stage, run, state(ValueError("bug")))


@pytest.mark.parametrize(
    ("cores", "free", "places"),
    [(8, 5 * STAGE_BYTES, 5), (2, 9 * STAGE_BYTES, 2), (4, STAGE_BYTES // 2, 1)],
)
def test_default_places_fits_cores_and_memory_when_one_is_short(
    monkeypatch: pytest.MonkeyPatch, cores: int, free: int, places: int
) -> None:
    class Memory:
        available = free

    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    assert default_places() == places
