"""Each call of the async client lets others run at least once, whatever comes of it: a loop around it starves none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import etcdv2
from etcdv2.testing import Server
from tests.conftest import FIRST_VERSION

pytestmark = FIRST_VERSION

Call = Callable[[], Coroutine[Any, Any, Any]]


async def outcome(call: Call) -> tuple[bool, object]:
    """Whether it has let others run, and what came of it."""
    let_others_run = False

    def other() -> None:
        nonlocal let_others_run
        let_others_run = True

    asyncio.get_running_loop().call_soon(other)
    try:
        result = await call()
    except Exception as error:
        result = type(error)
    return let_others_run, result


async def test_what_is_refused(etcd: Server) -> None:
    async with etcdv2.AsyncClient(etcd.url) as client:
        keys, auth = client.keys, client.auth
        watcher, mirror = keys.watch("/a"), keys.mirror("/a")
        refused: dict[str, Call] = {
            "get": lambda: keys.get("/../a"),
            "get in a view": lambda: keys.at("/a").get("/b"),
            "set": lambda: keys.set("/a", "1", prev_value=""),
            "set_many": lambda: keys.set_many({}, concurrency=0),
            "modify": lambda: keys.modify("/a", str, ttl=-1),
            "resolve": lambda: keys.resolve(ValueError()),  # type: ignore[arg-type]  # that is refused
            "timeout": lambda: keys.get("/a", timeout=-1),
            "users": lambda: auth.users.create("", "secret"),
            "roles": lambda: auth.roles.create(""),
            "members": lambda: client.members.add([]),
            "sync": lambda: client.sync(every=-1),
            "next": lambda: watcher.next(timeout=-1),
            "batch": lambda: watcher.batch(limit=0),
            "wait_for": lambda: mirror.wait_for(bool, timeout=-1),
            "wait_for_index": lambda: mirror.wait_for_index(-1),
        }
        for name, call in refused.items():
            assert await outcome(call) in [(True, ValueError), (True, TypeError)], name


async def test_what_is_there_already(etcd: Server) -> None:
    async with etcdv2.AsyncClient(etcd.url) as client:
        keys = client.keys
        index = (await keys.set("/a", "0")).index
        mirror = await keys.mirror("/").open()
        changes = mirror.changes()
        for number in range(3):
            last = await keys.set("/a", str(number))
        watcher = await keys.watch("/a", after_index=index).open()
        assert await mirror.wait_for_index(last.index)
        first = await watcher.next()
        assert first is not None
        assert first.value == "0"

        calls: dict[str, Call] = {
            "open": watcher.open,
            "open a mirror": mirror.open,
            "next": lambda: watcher.next(timeout=0),
            "batch": lambda: watcher.batch(timeout=0, gather=0),
            "next at once": lambda: watcher.next(timeout=0),
            "change": lambda: changes.next(timeout=0),
            "changes": lambda: changes.batch(timeout=0, gather=0),
            "no change": lambda: changes.next(timeout=0),
            "no changes": lambda: changes.batch(timeout=0, gather=0),
            "wait_for": lambda: mirror.wait_for(lambda state: True, timeout=0),
            "wait_for_index": lambda: mirror.wait_for_index(1, timeout=0),
            "nothing to set": lambda: keys.set_many({}),
        }
        assert {name: (await outcome(call))[0] for name, call in calls.items()} == dict.fromkeys(calls, True)
        await watcher.close()
        await mirror.close()


async def test_many_writes_of_a_closed_client_are_refused_as_one_is(etcd: Server) -> None:
    client = etcdv2.AsyncClient(etcd.url)
    await client.close()
    assert (await outcome(client.close))[0]
    assert await outcome(lambda: client.keys.set_many({"/a": "1", "/b": "2"})) == (True, ValueError)
    assert await outcome(lambda: client.keys.set_many({})) == (True, ValueError)
