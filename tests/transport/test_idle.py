"""How long an idle connection is trusted, and which ones a failure takes along."""

from __future__ import annotations

import time

import pytest

from etcdv2._core.endpoints import Endpoint
from etcdv2._transport import loop, threads
from etcdv2._transport.idle import IdleConnections
from tests.tools.fault_server import FaultServer, echo
from tests.tools.transport_drivers import GET, PUT, SOON, TransportName, start_transport


class Aged:
    def __init__(self, idle_since: float) -> None:
        self.idle_since = idle_since


def test_connections_of_that_age_and_older_are_given_up_and_not_younger_ones() -> None:
    aged = [Aged(since) for since in (1.0, 2.0, 3.0)]
    pool: IdleConnections[Aged] = IdleConnections(Endpoint("http", "127.0.0.1", 2379), 10)
    pool.idle.extend(aged)
    assert pool.no_younger_than(Aged(2.0)) == aged[:2]


@pytest.mark.parametrize(("seconds", "reads", "writes"), [(19.0, 1, 1), (21.0, 1, 2), (59.0, 1, 2), (61.0, 2, 2)])
@pytest.mark.parametrize("name", ["threads", "loop"])
def test_connection_is_trusted_for_60_seconds_before_a_read_and_20_before_a_write(
    monkeypatch: pytest.MonkeyPatch, name: TransportName, seconds: float, reads: int, writes: int
) -> None:
    """How many connections two calls have needed, so long apart."""
    later = 0.0
    for module in (loop, threads):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + later)
    for request, count in ((GET, reads), (PUT, writes)):
        with FaultServer(default=echo()) as server, start_transport(name) as transport:
            later = 0.0
            transport.send(server.endpoint, request, SOON)
            later = seconds
            transport.send(server.endpoint, request, SOON)
            assert server.connections == count
