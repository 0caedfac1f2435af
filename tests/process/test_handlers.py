"""A signal handler raises at every moment of a blocking call: its exception comes out, and the client stays sound."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest

from etcdv2 import Client
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION
from tests.tools.faces import over
from tests.tools.interrupting import EVERYWHERE, SYSTEM_CALLS, Interrupt
from tests.tools.leftovers import held, nothing_left, sockets

pytestmark = FIRST_VERSION

MOST = {"fast": 400, "httpx": 40}
"""Moments that are tried of those that a call has."""


class Alarm(TimeoutError):
    """Of a handler, as many raise it: an OSError by its class."""


class Stop(Exception):
    """Of a handler: no error of the operating system."""


def first_call(client: Client) -> None:
    """Of a client of its own: it connects."""
    with Client(client.endpoints[0]) as fresh:
        fresh.keys.get("/a")


GENERATED = frozenset({"etcdv2_api"})
"""What makes calls and reads answers."""
KEPT: list[object] = []
"""What a finalizer is interrupted in is lost in any case."""


def watch(client: Client, after: int) -> None:
    watcher = client.keys.watch("/a", after_index=after)
    KEPT.append(watcher)
    try:
        watcher.next(timeout=60)
    finally:
        watcher.close()


WORKS: dict[str, Callable[[Client], Any]] = {
    "get": lambda client: client.keys.get("/a"),
    "set": lambda client: client.keys.set("/a", "1"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("only", [EVERYWHERE, SYSTEM_CALLS])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, Stop, Alarm])
@pytest.mark.parametrize("name", WORKS)
def test_what_a_handler_raises_comes_out_at_whatever_moment(
    etcd: Server, transport: str, name: str, kind: type[BaseException], only: str
) -> None:
    work = WORKS[name]
    before = held()

    def alarm() -> None:
        raise kind("of the handler")

    with Client(etcd.url, max_connections=1, **over(transport)) as client:
        client.keys.set("/a", "1")
        with Interrupt(only=only) as counting:
            work(client)
        assert counting.moments >= (100 if only == EVERYWHERE else 4)
        step = max(1, counting.moments // MOST[transport])
        for at in range(0, counting.moments - 1, step):
            interrupt = Interrupt(alarm, at, only=only)
            gc.disable()  # what a finalizer is interrupted in is lost in any case, and Python says so
            try:
                with interrupt:
                    work(client)
            except kind:
                pass
            else:
                assert not interrupt.where, f"moment {at} of {counting.moments}, {interrupt.where}: it has vanished"
            finally:
                gc.enable()
            assert client.keys.get("/a").value == "1"
            if transport == "fast":
                assert len(sockets()) <= before.sockets + 1
    nothing_left(before)


@pytest.mark.parametrize("name", ["first call", "watch"])
def test_what_a_handler_raises_comes_out_of_a_beginning(etcd: Server, name: str) -> None:
    before = held()

    def alarm() -> None:
        raise Alarm("of the handler")

    with Client(etcd.url) as client:
        for _ in range(3):
            last = client.keys.set("/a", "1").index
        work = {"first call": first_call, "watch": lambda client: watch(client, last - 1)}[name]
        with Interrupt(only=EVERYWHERE) as counting:
            work(client)
        for at in range(0, counting.moments - 1, max(1, counting.moments // 200)):
            interrupt = Interrupt(alarm, at, only=EVERYWHERE)
            gc.disable()
            try:
                with interrupt:
                    work(client)
            except Alarm:
                pass
            else:
                assert not interrupt.where, f"moment {at} of {counting.moments}, {interrupt.where}: it has vanished"
            finally:
                gc.enable()
        work(client)
    nothing_left(before)


class Wrong(ValueError):
    """Of a handler, and of the class of what is wrong in an answer."""


DECODED: dict[str, Callable[[Client], Any]] = {
    **WORKS,
    "health": lambda client: client.health().healthy,
    "ready": lambda client: client.ready().ready,
}


@pytest.mark.parametrize("name", DECODED)
def test_what_a_handler_raises_while_an_answer_is_decoded_is_no_fault_of_the_answer(etcd: Server, name: str) -> None:
    """A ValueError became UnexpectedAnswer, or a member that is not well."""
    work = DECODED[name]

    def alarm() -> None:
        raise Wrong("of the handler")

    with Client(etcd.url) as client:
        client.keys.set("/a", "1")
        assert work(client)  # models are made ready by the first use
        with Interrupt(only=EVERYWHERE, libraries=GENERATED) as counting:
            work(client)
        assert counting.moments >= 4
        for at in range(counting.moments):
            with pytest.raises(Wrong), Interrupt(alarm, at, only=EVERYWHERE, libraries=GENERATED):
                work(client)
        assert work(client)


class Key(KeyboardInterrupt):
    """One that can be referred to weakly."""


@pytest.mark.parametrize("kind", [Key, Stop, Alarm])
def test_what_a_handler_raised_keeps_nothing(etcd: Server, kind: type[BaseException]) -> None:
    """In a circle with its traceback it would keep the connection until the garbage collector came."""

    def alarm() -> None:
        raise kind("of the handler")

    def interrupted(client: Client) -> ref[BaseException]:
        try:
            with Interrupt(alarm, 2):
                client.keys.get("/a")
        except kind as error:
            return ref(error)
        raise AssertionError("it has vanished")

    with Client(etcd.url) as client:
        client.keys.set("/a", "1")
        gc.disable()
        try:
            assert interrupted(client)() is None
        finally:
            gc.enable()
