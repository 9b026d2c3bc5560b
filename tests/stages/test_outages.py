"""A registry that is away: one line that names it, and whether trying again can help."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos import databricks_pb2 as codes

from edgepress.errors import PassingError, UserError
from stages import outages
from stages.outages import explained, is_absent, probe
from stages.releases import StageLog
from stages.stage import main
from stages.tracking import Store

SERVER = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    "error",
    [
        MlflowException(
            "API request to http://x/api failed with exception HTTPConnectionPool(host='x'): Max "
            "retries exceeded with url: /api (Caused by NewConnectionError('refused'))"
        ),
        MlflowException("API request to http://x failed with timeout exception Read timed out."),
        MlflowException("API request to endpoint /api failed with error code 503 != 200."),
        MlflowException("(sqlite3.OperationalError) database is locked\n[SQL: UPDATE tags]"),
        MlflowException("gone for a while", error_code=codes.TEMPORARILY_UNAVAILABLE),
        RestException({"error_code": "INTERNAL_ERROR", "message": "the database went away"}),
        ConnectionResetError("Connection reset by peer"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_explained_may_pass_when_the_store_is_away(error: Exception) -> None:
    line = explained(error, SERVER)
    assert isinstance(line, PassingError)
    assert str(line).startswith(f"MLflow at {SERVER}: ")
    assert "Caused by" not in str(line)
    assert "[SQL" not in str(line)


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("(sqlite3.OperationalError) attempt to write a readonly database"),
        MlflowException("no such user", error_code=codes.UNAUTHENTICATED),
    ],
)
def test_explained_is_the_users_when_waiting_does_not_help(error: Exception) -> None:
    line = explained(error, SERVER)
    assert isinstance(line, UserError)
    assert not isinstance(line, PassingError)


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("tag too long", error_code=codes.INVALID_PARAMETER_VALUE),
        MlflowException("what has no code of its own"),
        ValueError("a bug of ours"),
    ],
)
def test_explained_is_none_when_the_fault_is_not_the_stores(error: Exception) -> None:
    assert explained(error, SERVER) is None


def test_explained_keeps_the_password_when_the_address_holds_one() -> None:
    line = str(explained(ConnectionRefusedError("no"), "postgresql://me:secret@host/db"))
    assert "postgresql://host/db" in line
    assert "secret" not in line


def test_is_absent_only_when_the_error_says_so() -> None:
    assert is_absent(MlflowException("no", error_code=codes.RESOURCE_DOES_NOT_EXIST))
    assert not is_absent(MlflowException("no server"))
    assert not is_absent(KeyError("no"))


def test_probe_may_pass_when_another_process_holds_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "_WAIT_S", 0.01)
    holder = sqlite3.connect(tmp_path / "held.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(PassingError, match=r"held\.db: database is locked"):
        probe(f"sqlite:///{tmp_path}/held.db")
    holder.execute("ROLLBACK")
    holder.close()
    probe(f"sqlite:///{tmp_path}/held.db")


@pytest.mark.parametrize(
    ("path", "said"),
    [("nowhere/m.db", "unable to open database file"), ("text.db", "file is not a database")],
)
def test_probe_is_the_users_when_there_is_no_database_to_write(
    tmp_path: Path, path: str, said: str
) -> None:
    (tmp_path / "text.db").write_text("a text and no database, long enough to have a header\n" * 9)
    with pytest.raises(UserError, match=said) as caught:
        probe(f"sqlite:///{tmp_path}/{path}")
    assert not isinstance(caught.value, PassingError)


class _Server(BaseHTTPRequestHandler):
    """Knows one experiment, and nothing else."""

    def do_GET(self) -> None:
        body = json.dumps({"experiment": {"experiment_id": "1", "name": "digits"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """A server to be stopped; the client tries each request once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with HTTPServer(("127.0.0.1", 0), _Server) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()
    mlflow.set_tracking_uri("")


def test_store_may_pass_when_the_server_dies_after_it_was_opened(server: HTTPServer) -> None:
    uri = f"http://127.0.0.1:{server.server_port}"
    store = Store(uri, "digits")
    server.shutdown()
    server.server_close()
    with pytest.raises(PassingError, match=f"MLflow at {uri}: "):
        store.log_stages("execution", StageLog("run", {}, {}), [StageLog("train", {}, {})], {})
    with pytest.raises(PassingError, match=f"MLflow at {uri}: "):
        store.rollback("x86_64-onnxruntime-fp32")


def test_stage_exits_as_the_flow_expects_when_the_failure_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: object) -> None:
        raise PassingError("MLflow at x: away")

    (tmp_path / "params.yaml").write_text("seed: 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["register"])
    with pytest.raises(SystemExit) as caught:
        main("register", work)
    assert caught.value.code == 75
    assert capsys.readouterr().err == "register: MLflow at x: away\n"
