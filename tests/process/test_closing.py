"""`close()` from another thread or task while calls, watches and mirrors are under way; clients that nobody closes.

What ends, how soon, with which error; what is left.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from etcdv2 import AsyncClient, AttemptInfo, Client, ClusterUnavailable, OutcomeUnknown, Timeout
from etcdv2._transport.threads import FastTransport
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.faces import Face, over
from tests.tools.fault_server import FaultServer, TcpProxy, full_server, stall
from tests.tools.leftovers import Held, held, nothing_left, sockets
from tests.tools.waiting import PATIENT, SOON, until

SHORT = Timeout(connect=1, attempt=1, commit=1, total=2)
"""httpx does not wake calls that are closed over; their limits end them."""


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def before() -> Held:
    return held()


@pytest.fixture
def helpers(before: Held) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool
    nothing_left(before)


def options(transport: str) -> dict[str, Any]:
    return {"timeout": SHORT if transport == "httpx" else PATIENT, **over(transport)}


def outcome(call: Future[Any]) -> Any:
    """What it returned, or the type of what it raised."""
    error = call.exception(timeout=SOON)
    return call.result() if error is None else type(error)


READS: dict[str, Callable[[Face], Any]] = {
    "get": lambda face: face.keys.get("/a"),
    "quorum": lambda face: face.keys.get("/a", quorum=True),
    "tree": lambda face: face.keys.get("/", recursive=True),
    "modify": lambda face: face.keys.modify("/a", str.upper),
    "sync": lambda face: face.client.sync(),
    "members": lambda face: face.client.members.list(),
    "users": lambda face: face.client.auth.users.list(),
}
WRITES: dict[str, Callable[[Face], Any]] = {
    "set": lambda face: face.keys.set("/a", "1"),
    "create": lambda face: face.keys.create("/a", "1"),
    "queue": lambda face: face.keys.create_in_order("/a", "1"),
    "delete": lambda face: face.keys.delete("/a"),
    "grant": lambda face: face.client.auth.users.grant("ada", "shop"),
}


def test_close_ends_every_call_that_waits_for_its_answer(
    kind: str, transport: str, helpers: ThreadPoolExecutor
) -> None:
    """One that may have been carried out says so; a read says that the client was closed."""
    works = READS | WRITES
    with FaultServer(default=stall()) as server, Face(kind, server.endpoint.url, **options(transport)) as face:
        calls = {name: helpers.submit(face.do, lambda work=work: work(face)) for name, work in works.items()}  # type: ignore[misc]
        health = helpers.submit(face.do, face.client.health)
        until(lambda: len(server.requests) == len(works) + 1, lambda: server.requests)
        began = time.monotonic()
        face.close()
        ended = {name: outcome(call) for name, call in calls.items()}
        assert not outcome(health).healthy
        took = time.monotonic() - began
        assert took < SOON
        assert len(server.requests) == len(works) + 1 or transport == "httpx"
    reads, writes = {ended[name] for name in READS}, {ended[name] for name in WRITES}
    if transport == "fast":
        assert (reads, writes) == ({ClusterUnavailable}, {OutcomeUnknown})
        text = str(calls["get"].exception())
        assert "the client was closed during the call" in text, text
    else:
        assert all(issubclass(kind, ClusterUnavailable) for kind in reads), ended
        assert all(issubclass(kind, OutcomeUnknown) for kind in writes), ended


def test_close_ends_a_call_that_is_connecting_and_was_not_sent(kind: str, helpers: ThreadPoolExecutor) -> None:
    tried = threading.Event()

    def note(_: AttemptInfo) -> None:
        tried.set()

    with full_server() as silent, Face(kind, silent.url, timeout=PATIENT, before_attempt=note) as face:
        alone = len(sockets())
        call = helpers.submit(face.do, lambda: face.keys.set("/a", "1"))
        assert tried.wait(5)
        until(lambda: len(sockets()) > alone, sockets)
        began = time.monotonic()
        face.close()
        assert outcome(call) is ClusterUnavailable
        assert time.monotonic() - began < SOON


def test_close_ends_callers_who_wait_for_a_place(kind: str, helpers: ThreadPoolExecutor) -> None:
    """The one that has the place was sent, the others were not, though they are writes."""
    with FaultServer(default=stall()) as server:
        with Face(kind, server.endpoint.url, timeout=PATIENT, max_connections=1) as face:
            calls = [helpers.submit(face.do, lambda: face.keys.set("/a", "1")) for _ in range(6)]
            until(lambda: server.requests, lambda: server.requests)
            until(lambda: _waiting(face) == 5, lambda: _waiting(face))
            began = time.monotonic()
            face.close()
            ended = [outcome(call) for call in calls]
            assert time.monotonic() - began < SOON
            assert sorted(kind.__name__ for kind in ended) == ["ClusterUnavailable"] * 5 + ["OutcomeUnknown"]
            assert len(server.requests) == 1


def _waiting(face: Face) -> int:
    transport = face.client._dispatcher._transport
    pools = (
        [transport._pools] if isinstance(transport, FastTransport) else [one.pools for one in transport._loops.values()]
    )
    return sum(len(pool.waiting) for by_endpoint in pools for pool in by_endpoint.values())


@FIRST_VERSION
def test_close_ends_watchers_and_mirrors_without_an_error(
    kind: str, transport: str, etcd: Server, helpers: ThreadPoolExecutor
) -> None:
    with Face(kind, etcd.url, **options(transport)) as face:
        face.do(lambda: face.keys.set("/m/a", "1"))
        watcher = face.enter(face.keys.watch("/m"))
        other = face.enter(face.keys.watch("/m", snapshots=True))
        assert face.do(other.next) is not None
        mirror = face.enter(face.keys.mirror("/m"))
        changes = face.do(mirror.changes)
        waiting: list[Callable[[], Any]] = [
            watcher.next,
            other.next,
            changes.next,
            lambda: mirror.wait_for(lambda state: False),
        ]
        calls = [helpers.submit(face.do, work) for work in waiting]
        began = time.monotonic()
        face.close()
        for call, value in zip(calls, [None, None, None, False], strict=True):
            assert outcome(call) in (value, ValueError)  # the latter for one that began only after the end
        assert time.monotonic() - began < SOON
        assert (watcher.closed, other.closed, mirror.closed, mirror.error) == (True, True, True, None)
        assert mirror["/m/a"].value == "1"


def test_close_ends_whoever_enters_a_watch_or_a_mirror(kind: str, transport: str, helpers: ThreadPoolExecutor) -> None:
    with FaultServer(default=stall()) as server, Face(kind, server.endpoint.url, **options(transport)) as face:
        watch = helpers.submit(face.enter, face.keys.watch("/m"))
        mirror = helpers.submit(face.enter, face.keys.mirror("/m"))
        until(lambda: len(server.requests) == 2, lambda: server.requests)
        began = time.monotonic()
        face.close()
        for call in (watch, mirror):
            error = call.exception(timeout=SOON)
            assert isinstance(error, (ClusterUnavailable, ValueError)), error
            assert "closed" in str(error) or transport == "httpx", error
        assert time.monotonic() - began < SOON


@FIRST_VERSION
def test_close_ends_a_watch_whose_cluster_is_away(kind: str, etcd: Server, helpers: ThreadPoolExecutor) -> None:
    with TcpProxy("127.0.0.1", etcd.port) as proxy, Face(kind, proxy.endpoint.url, timeout=PATIENT) as face:
        watcher = face.enter(face.keys.watch("/m"))
        call = helpers.submit(face.do, watcher.next)
        proxy.refusing = True
        proxy.cut()
        until(lambda: watcher._feed.unreachable_since is not None, lambda: "not away")
        began = time.monotonic()
        face.close()
        assert outcome(call) in (None, ValueError)  # the latter if it began only after the end
        assert time.monotonic() - began < SOON


AFTERWARDS: dict[str, Callable[[Face], Any]] = {
    **READS,
    **WRITES,
    "version": lambda face: face.client.version(),
    "store": lambda face: face.client.stats.store(),
    "machines": lambda face: face.client.machines(),
    "watch": lambda face: face.keys.watch("/a").next(),
    "health": lambda face: face.client.health(),
    "ready": lambda face: face.client.ready(),
}


@FIRST_VERSION
@pytest.mark.parametrize("name", AFTERWARDS)
def test_calls_after_close_are_refused(kind: str, transport: str, etcd: Server, name: str, before: Held) -> None:
    with Face(kind, etcd.url, **options(transport)) as face:
        face.do(lambda: face.keys.set("/a", "1"))
        face.close()
        with pytest.raises(ValueError, match="closed"):
            face.do(lambda: AFTERWARDS[name](face))
        for context in (face.keys.watch("/a"), face.keys.mirror("/a")):
            with pytest.raises(ValueError, match="closed"):
                face.enter(context)
    nothing_left(before)


@FIRST_VERSION
def test_close_twice_and_by_many_at_once_is_as_once(
    kind: str, transport: str, etcd: Server, helpers: ThreadPoolExecutor
) -> None:
    for _ in range(5):
        with Face(kind, etcd.url, **options(transport)) as face:
            face.do(lambda: face.keys.set("/a", "1"))
            watcher = face.enter(face.keys.watch("/a"))
            mirror = face.enter(face.keys.mirror("/"))
            closing = [helpers.submit(face.close) for _ in range(4)]
            closing += [helpers.submit(face.do, one.close) for one in (watcher, mirror, watcher, mirror)]
            assert [outcome(call) for call in closing] == [None] * len(closing)


@FIRST_VERSION
def test_calls_of_many_threads_end_soon_when_one_closes(kind: str, etcd: Server, helpers: ThreadPoolExecutor) -> None:
    """On a real server, in the middle of traffic: documented errors only."""
    for run in range(3):  # a write that was under way when its client was closed may come in the next one
        with Face(kind, etcd.url, max_connections=3) as face:
            going = threading.Barrier(9)

            def talk(who: str, face: Face = face, going: threading.Barrier = going) -> None:
                for number in range(100_000):
                    if number == 5:
                        going.wait(SOON)
                    face.do(lambda: face.keys.set(f"/{who}", f"{number}"))  # noqa: B023
                    assert face.do(lambda: face.keys.get(f"/{who}")).value == f"{number}"

            calls = [helpers.submit(talk, f"{run}.{who}") for who in range(8)]
            going.wait(SOON)
            began = time.monotonic()
            face.close()
            assert {outcome(call) for call in calls} <= {ClusterUnavailable, OutcomeUnknown, ValueError}
            assert time.monotonic() - began < SOON


# -- clients that nobody closes ------------------------------------------------------------------------------------


def leave(url: str, settings: dict[str, Any], *, watching: bool) -> None:
    client = Client(url, **settings)
    client.keys.set("/a", "1")
    if watching:
        client.keys.watch("/a").__enter__()


@FIRST_VERSION
@pytest.mark.parametrize("watching", [False, True])
def test_client_left_to_the_collector_gives_its_sockets_back(
    transport: str, etcd: Server, before: Held, watching: bool
) -> None:
    """A ResourceWarning of Python's says that there were sockets; nothing else is said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        leave(etcd.url, options(transport), watching=watching)
        ends = time.monotonic() + SOON
        while len(sockets()) > before.sockets or threading.active_count() > before.threads:
            gc.collect()
            assert time.monotonic() < ends, held()
            time.sleep(0.01)
    assert {warning.category for warning in said} <= {ResourceWarning}


@FIRST_VERSION
def test_async_client_left_open_ends_with_its_loop(etcd: Server, before: Held) -> None:
    async def leave_open() -> None:
        client = AsyncClient(etcd.url)
        await client.keys.set("/a", "1")
        await client.keys.watch("/a").__aenter__()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        asyncio.run(leave_open())
        ends = time.monotonic() + SOON
        while len(sockets()) > before.sockets:
            gc.collect()
            assert time.monotonic() < ends, held()
            time.sleep(0.01)
    assert {warning.category for warning in said} <= {ResourceWarning}
