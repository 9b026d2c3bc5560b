"""What infra/ names exists: entrypoints import, parameters are the flow's, schedules are valid."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
INFRA = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = INFRA["deployments"]
each = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=[d["name"] for d in DEPLOYMENTS])


@each
def test_entrypoint_is_a_flow_that_takes_the_parameters_when_deployed(
    deployment: dict[str, Any],
) -> None:
    from prefect import Flow

    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert isinstance(flow, Flow)
    inspect.signature(flow.fn).bind(**deployment["parameters"])
    assert flow.validate_parameters(deployment["parameters"])


@each
def test_schedule_is_valid_when_deployed(deployment: dict[str, Any]) -> None:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.client.schemas.schedules import CronSchedule

    for schedule in deployment["schedules"]:
        times = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
        assert DeploymentScheduleCreate(schedule=times, slug=schedule["slug"]).active
    assert ConcurrencyLimitConfig(**deployment["concurrency_limit"]).limit == 1


@each
def test_run_stays_in_the_workers_checkout_when_deployed(deployment: dict[str, Any]) -> None:
    # Relative, so that one deployment serves hosts whose checkouts lie in different places.
    assert deployment["work_pool"]["job_variables"] == {"working_dir": "."}
    assert INFRA["pull"] == []
    unit = (ROOT / "infra" / "systemd" / "edgepress-worker@.service").read_text()
    assert "\nWorkingDirectory=" in unit


def test_prefects_page_asks_the_port_it_is_served_at_when_make_ui_is_given_one(
    tmp_path: Path,
) -> None:
    # In the servers' place stands what Prefect's own settings say to its page.
    told = "import prefect.settings as s; print(s.PREFECT_UI_API_URL.value())"
    scripts = {"prefect": f"exec {sys.executable} -c '{told}'", "mlflow": "exec sleep 60"}
    for name, line in {**scripts, "python": "exec sleep 60"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    ports = {"MLFLOW_PORT": "5001", "PREFECT_PORT": "4321", "REPORT_PORT": "8001"}
    done = subprocess.run(
        ["bash", str(ROOT / "infra" / "ui.sh"), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, **ports, "PREFECT_API_URL": "http://elsewhere:4200/api"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "prefect stopped: http://127.0.0.1:4321/api" in done.stderr


def test_deployments_use_the_pools_that_workers_serve_when_listed() -> None:
    pools = {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS}
    assert pools == {"gpu", "jetson"}
    unit = (ROOT / "infra" / "systemd" / "edgepress-worker@.service").read_text()
    assert "--pool %i" in unit


def test_prefect_yaml_is_for_the_pinned_version_when_read() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert f"\nprefect=={INFRA['prefect-version']}\n" in lock


def test_compose_publishes_on_loopback_only_when_nothing_else_is_said() -> None:
    services = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in ports)


def test_compose_takes_every_password_from_the_environment_when_started() -> None:
    text = (ROOT / "infra" / "compose.yaml").read_text()
    for line in text.splitlines():
        if "PASSWORD:" in line or "SECRET" in line:
            assert ":?}" in line, line
