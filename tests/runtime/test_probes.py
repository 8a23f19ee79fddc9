"""Probes: what an orchestrator sees of a service."""

from __future__ import annotations

import http.client
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from runtime.learners import plant_cluster, run_until_idle, send_events, start_learner
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.probes import serve_probes

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Answer(NamedTuple):
    status: int
    kind: str
    body: str


class Patient:
    """Is as it is told to be."""

    age_s = 0.0
    problem = ""

    def loop_age_s(self) -> float:
        return self.age_s

    def not_ready(self) -> str:
        return self.problem

    def exposition(self) -> bytes:
        return b"tidemill_models 3.0\n"


def ask(address: str, path: str, method: str = "GET") -> Answer:
    connection = http.client.HTTPConnection(address, timeout=180)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return Answer(
            response.status, response.headers.get("Content-Type", ""), response.read().decode()
        )
    finally:
        connection.close()


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def address(patient: Patient) -> Iterator[str]:
    with serve_probes(patient, host=HOST, port=0, live_within_s=30.0) as found:
        yield found


def test_port_0_takes_a_free_port_and_says_which(address: str) -> None:
    host, _, port = address.rpartition(":")

    assert host == HOST
    assert int(port) > 0


def test_live_as_long_as_the_loop_turned_lately(address: str, patient: Patient) -> None:
    patient.age_s = 30.0
    assert ask(address, "/livez").status == 200

    patient.age_s = 31.0
    dead = ask(address, "/livez")
    assert dead.status == 503
    assert dead.body == "the loop must turn within 30 s, last turned 31 s ago\n"


def test_ready_unless_there_is_a_reason(address: str, patient: Patient) -> None:
    assert ask(address, "/readyz") == Answer(200, "text/plain; charset=utf-8", "ok\n")

    patient.problem = "no partition is assigned"
    assert ask(address, "/readyz").status == 503
    assert ask(address, "/readyz").body == "no partition is assigned\n"


def test_metrics_are_served_as_prometheus_text(address: str) -> None:
    answer = ask(address, "/metrics?name[]=any")

    assert answer.status == 200
    assert answer.kind.startswith("text/plain; version=0.0.4")
    assert answer.body == "tidemill_models 3.0\n"


def test_any_other_path_or_method_is_refused(address: str) -> None:
    assert ask(address, "/").status == 404
    assert ask(address, "/livez/x").status == 404
    assert ask(address, "/livez", "POST").status == 501


def test_a_client_that_goes_away_stops_nothing(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host, _, port = address.rpartition(":")
    for _ in range(3):
        with socket.create_connection((host, int(port))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            client.sendall(b"GET /met")

    assert ask(address, "/livez").status == 200
    assert capsys.readouterr().err == ""


def test_a_fault_of_ours_is_told(
    address: str, patient: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    patient.problem = "\ud800"  # cannot be sent

    with pytest.raises(http.client.RemoteDisconnected):
        ask(address, "/readyz")
    assert "UnicodeEncodeError" in capsys.readouterr().err


def test_a_port_in_use_is_named_with_the_way_out(address: str, patient: Patient) -> None:
    port = int(address.rpartition(":")[2])

    with (
        pytest.raises(ConfigError, match=rf"--probe-port: {HOST}:{port} must be free .* or 0"),
        serve_probes(patient, host=HOST, port=port),
    ):
        pass


def test_an_address_that_is_not_ours_is_named(patient: Patient) -> None:
    with (
        pytest.raises(ConfigError, match=r"--probe-host: must be an address .* was 'no such host'"),
        serve_probes(patient, host="no such host", port=0),
    ):
        pass


def test_the_port_is_free_again_afterwards(patient: Patient) -> None:
    again: list[str] = []
    for _ in range(5):  # a connection that goes out may take one meanwhile, hardly all of them
        with serve_probes(patient, host=HOST, port=0) as address:
            port = int(address.rpartition(":")[2])
        with suppress(ConfigError), serve_probes(patient, host=HOST, port=port) as found:
            again.append(found)
            assert found == address
    assert again


def test_a_worker_becomes_ready_when_its_partitions_stand() -> None:
    cluster, metrics = plant_cluster(), WorkerMetrics("learner")
    send_events(cluster, 20)
    worker = start_learner(cluster, metrics)
    with serve_probes(metrics, host=HOST, port=0) as address:
        before = ask(address, "/readyz")
        run_until_idle(worker)
        after = ask(address, "/readyz")

        assert (before.status, before.body) == (503, "no partition is assigned\n")
        assert after.status == 200
        assert "tidemill_predictions_total 20.0" in ask(address, "/metrics").body
