"""Places of a pool among threads: who is admitted, in which order, and what is left of a call that was interrupted."""

from __future__ import annotations

import gc
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from math import inf
from weakref import ref

import pytest

from etcdv2._core.endpoints import Endpoint
from etcdv2._transport.http1 import AnswerReader
from etcdv2._transport.places import HeldConnections, Place, living
from etcdv2._transport.thread_connection import Connection
from tests.tools.fault_server import FaultServer
from tests.tools.waiting import SOON, until

ENDPOINT = Endpoint("http", "127.0.0.1", 2379)


def queue(limit: int) -> HeldConnections[object]:
    return HeldConnections(ENDPOINT, limit)


def test_as_many_enter_as_there_are_places_and_one_leaves_for_another() -> None:
    pool, places = queue(2), [Place() for _ in range(3)]
    assert [pool.enter(place) for place in places] == [True, True, False]
    assert repr(pool) == f"<IdleConnections to {ENDPOINT}: 0 idle, 2 of 2 in use, 1 waiting>"
    assert not pool.wait(places[2], time.monotonic())
    pool.leave(places[0])
    assert pool.wait(places[2], inf)
    pool.leave(places[1])
    pool.leave(places[2])
    assert (len(pool.holders), len(pool.waiting)) == (0, 0)


def test_those_who_wait_are_admitted_in_their_order() -> None:
    pool, first = queue(1), Place()
    pool.enter(first)
    order: list[int] = []

    def take(number: int, place: Place) -> None:
        assert pool.wait(place, inf)
        order.append(number)
        pool.leave(place)

    with ThreadPoolExecutor(5) as threads:
        waiting = [Place() for _ in range(5)]
        assert [pool.enter(place) for place in waiting] == [False] * 5
        calls = [threads.submit(take, number, place) for number, place in enumerate(waiting)]
        pool.leave(first)
        for call in calls:
            call.result(SOON)
    assert order == [0, 1, 2, 3, 4]


def test_place_that_nobody_holds_any_more_is_free() -> None:
    pool, place = queue(1), Place()
    assert pool.enter(place)
    del place
    assert pool.enter(Place())


def test_place_that_is_lost_while_others_wait_is_found_by_them() -> None:
    pool, lost, gone, patient = queue(1), Place(), Place(), Place()
    assert [pool.enter(place) for place in (lost, gone, patient)] == [True, False, False]
    del gone
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(pool.wait, patient, time.monotonic() + SOON)
        del lost
        assert call.result(SOON)
    assert pool.holders == {ref(patient)}
    assert not pool.waiting


def test_one_that_was_admitted_but_not_woken_finds_out() -> None:
    pool, first, second = queue(1), Place(), Place()
    pool.enter(first)
    pool.enter(second)
    with pool._lock:  # as if the one that leaves was interrupted there
        pool.holders.clear()
        assert pool._admit() == [second]
    assert pool.wait(second, time.monotonic() + SOON)


def test_close_wakes_all_who_wait() -> None:
    pool, first, waiting = queue(1), Place(), [Place() for _ in range(3)]
    pool.enter(first)
    assert [pool.enter(place) for place in waiting] == [False] * 3
    pool.let_go()
    assert all(pool.wait(place, inf) for place in waiting)


@pytest.mark.parametrize("connected", [True, False])
def test_connection_that_is_lost_closes_its_socket(connected: bool) -> None:
    live: set[ref[Connection]] = set()
    with FaultServer() as server:
        connection = Connection(server.endpoint, AnswerReader(1 << 16, 1 << 16))
        live.add(living(connection, live.discard))
        if connected:
            connection.connect(time.monotonic() + SOON)
            until(lambda: server.open_connections == 1)
        opened = list(connection.opened)
        assert [one() for one in live] == [connection]
        del connection
        gc.collect()
        assert not live
        assert [one.fileno() for one in opened] == [-1] * connected
        until(lambda: server.open_connections == 0)


def test_connection_that_was_closed_leaves_the_descriptor_alone() -> None:
    live: set[ref[Connection]] = set()
    with FaultServer() as server:
        connection = Connection(server.endpoint, AnswerReader(1 << 16, 1 << 16))
        live.add(living(connection, live.discard))
        connection.connect(time.monotonic() + SOON)
        until(lambda: server.open_connections == 1)  # accepted, so no thread of the server's takes the number
        number = connection.opened[0].fileno()
        with socket.socket() as one:
            connection.close()
            os.dup2(one.fileno(), number)
        with socket.socket(fileno=number) as other:
            del connection
            gc.collect()
            assert other.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
