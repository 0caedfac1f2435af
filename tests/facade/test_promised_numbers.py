"""The numbers that README, site and docstrings promise of the facade, each as a number of its own, for both clients.

See `tests/core/test_promised_numbers.py`. Nothing here waits: the clock, where there is one, is the test's.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import etcdv2.testing
from etcdv2 import AsyncClient, Client, ClusterUnavailable, Timeout
from etcdv2._core.deadline import Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Reply, Sent, TransportFailure
from etcdv2._sync.leader import LeaderPreference
from etcdv2._sync.watch.reconnect import Outage, Reconnect
from etcdv2._transport.failures import LimitReached, failure

CLIENTS = pytest.mark.parametrize("client", [Client, AsyncClient])


def standard(call: Callable[..., Any], name: str) -> Any:
    """What an argument is when it is not given."""
    return inspect.signature(call).parameters[name].default


def both(module: str) -> list[ModuleType]:
    """A module of the shell, as it was written and as it was derived."""
    return [importlib.import_module(f"etcdv2.{tree}.{module}") for tree in ("_async", "_sync")]


class Clock:
    """A `time.monotonic` that goes on only where something waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waited: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    def clear(self) -> None:
        """As a pulse."""


# --- what is not given ------------------------------------------------------------------------------------------------


@CLIENTS
def test_client_alone_talks_to_port_2379_of_this_machine_over_100_connections(client: Any) -> None:
    assert standard(client, "endpoints") == "http://127.0.0.1:2379"
    assert standard(client, "max_connections") == 100


@CLIENTS
def test_client_has_the_times_of_the_table(client: Any) -> None:
    made = client()
    assert made._dispatcher.timeout == Timeout(connect=1, attempt=2, commit=8, total=20)


def test_watches_and_mirrors_read_1000_events_ahead() -> None:
    for module in both("view"):
        view = getattr(module, "AsyncView", None) or module.View
        assert standard(view.watch, "buffer") == 1000
        assert standard(view.mirror, "buffer") == 1000
        assert standard(view.watch, "patience") is None


# --- watches ----------------------------------------------------------------------------------------------------------


def reconnect(patience: float | None, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Reconnect:
    monkeypatch.setattr("etcdv2._sync.watch.reconnect.time", clock)
    made = Reconnect("/a", patience, 20.0, Outage(), steadfast=False)
    made.begun = True
    monkeypatch.setattr(made, "_pulse", clock)
    return made


def test_watch_tries_again_with_pauses_of_up_to_5_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    pausing = reconnect(None, clock, monkeypatch)
    for _ in range(100):
        pausing.pause(1)
    assert 0.1 <= min(clock.waited) < max(clock.waited) <= 0.2
    clock.waited.clear()

    tries = 0

    def attempt(_: object) -> str:
        nonlocal tries
        tries += 1
        if tries <= 200:
            raise ClusterUnavailable("nobody answers")
        return "at last"

    assert pausing.endure(attempt) == "at last"
    assert len(clock.waited) == 200
    assert 2.5 <= min(clock.waited[10:]) < max(clock.waited) <= 5


def test_patience_of_60_ends_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def attempt(_: object) -> None:
        raise ClusterUnavailable("nobody answers")

    with pytest.raises(ClusterUnavailable):
        reconnect(60, clock, monkeypatch).endure(attempt)
    assert clock.now == pytest.approx(1060)


@pytest.mark.parametrize("module", both("watch.event_reader"))
def test_stream_is_opened_for_an_event_that_comes_within_20_ms(module: Any) -> None:
    assert module.BURST_SECONDS == 0.02


# --- the leader -------------------------------------------------------------------------------------------------------


class Silent:
    """A dispatcher whose endpoint answers nobody; keeps how long it was to be waited for."""

    def __init__(self, clock: Clock, timeout: Timeout) -> None:
        self.clock, self.timeout = clock, timeout
        self.current = Endpoint("http", "a", 2379)
        self.asked: list[float | None] = []

    def ordered_endpoints(self) -> list[Endpoint]:
        return [self.current]

    def ask(self, endpoint: Endpoint, call: object, within: float | None) -> Reply:
        self.asked.append(within)
        raise failure(LimitReached(), "wait", Sent.WHOLE)

    def endpoint_failed(self, endpoint: Endpoint, why: TransportFailure) -> None:
        pass


@pytest.mark.parametrize(("attempt", "total", "within"), [(2, 20, 2), (2, 3, 1.5), (None, 20, 10)])
def test_looking_for_the_leader_takes_one_attempt_and_half_of_the_total_at_most(
    attempt: float | None, total: float, within: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("etcdv2._sync.leader.time", clock)
    dispatcher: Any = Silent(clock, Timeout(attempt=attempt))
    LeaderPreference(dispatcher).before_call(Deadline.after(total, clock.now))
    assert dispatcher.asked == [within]


def test_leader_is_asked_for_again_after_5_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("etcdv2._sync.leader.time", clock)
    dispatcher: Any = Silent(clock, Timeout())
    preference = LeaderPreference(dispatcher)
    for later, asked in ((0, 1), (4.9, 1), (0.1, 2), (4.9, 2), (5, 3)):
        clock.now += later
        preference.before_call(Deadline.after(20, clock.now))
        assert len(dispatcher.asked) == asked


# --- resolve ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", both("resolve"))
def test_resolve_believes_two_polls_that_are_silent_for_a_second_each(module: Any) -> None:
    """ "Up to 3 s": the two, and the reads around them."""
    assert (module.SILENT_POLLS, module.SILENCE_SECONDS) == (2, 1.0)


# --- servers for tests ------------------------------------------------------------------------------------------------


def test_servers_for_tests_have_the_times_of_their_signatures() -> None:
    server, cluster = etcdv2.testing.Server, etcdv2.testing.Cluster
    assert standard(cluster, "size") == 3
    assert [standard(server, name) for name in ("heartbeat_interval", "election_timeout")] == [50, 250]
    assert [standard(cluster, name) for name in ("heartbeat_interval", "election_timeout")] == [100, 1000]
    for start in (
        server.start,
        server.wait_ready,
        server.restart,
        cluster.start,
        cluster.wait_ready,
        cluster.heal,
        cluster.move,
    ):
        assert standard(start, "timeout") == 30
    assert standard(server.stop, "timeout") == 3
    assert standard(cluster.leader, "timeout") == standard(cluster.followers, "timeout") == 10
