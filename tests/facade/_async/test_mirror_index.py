"""`mirror.wait_for_index`: when a mirror has all up to an index of the store, also one of a write elsewhere."""

from __future__ import annotations

import random
from typing import Any

import pytest

from etcdv2 import AsyncClient, ClusterUnavailable, KeyNotFound
from etcdv2._runtime.primitives import async_call_each, async_sleep
from etcdv2.testing import Cluster, Server
from tests.facade._async.conftest import Connect
from tests.tools.fault_server import TcpProxy
from tests.tools.scripted_store import ScriptedStore
from tests.tools.waiting import PATIENT, SOON, async_until
from tests.tools.writers import async_foreign_writes


def values(mirror: Any) -> dict[str, str | None]:
    return {key: node.value for key, node in mirror.items()}


async def test_index_of_a_write_elsewhere_is_come_to(client: AsyncClient, connect: Connect, etcd: Server) -> None:
    direct = connect(etcd.url)
    await direct.keys.set("/m/a", "1")
    async with client.keys.mirror("/m") as mirror:
        assert await mirror.wait_for_index(mirror.index, timeout=0)
        for number in range(5):
            elsewhere = (await direct.keys.set("/other", f"{number}")).index
            assert not await mirror.wait_for_index(elsewhere, timeout=0)  # nobody has asked
            assert await mirror.wait_for_index(elsewhere, timeout=SOON)
            assert await mirror.wait_for_index(elsewhere, timeout=0)
            assert await mirror.wait_for_index(elsewhere - 1)
        with pytest.raises(KeyNotFound) as missing:
            await direct.keys.get("/nothing")
        assert await mirror.wait_for_index(missing.value.index, timeout=SOON)
        assert values(mirror) == {"/m/a": "1"}


@pytest.mark.load
async def test_mirror_has_all_that_was_written_up_to_the_index(
    client: AsyncClient, connect: Connect, etcd: Server
) -> None:
    direct, luck, expected = connect(etcd.url), random.Random(7), dict[str, str | None]()
    async with client.keys.mirror("/m") as mirror:
        for number in range(150):
            key = f"{luck.choice(['/m', '/other', '/m/_hidden'])}/{luck.randrange(4)}"
            if luck.random() < 0.3:
                index = (await direct.keys.delete(key, missing_ok=True) or await direct.keys.set("/other/0", "")).index
                expected.pop(key, None)
            else:
                index = (await direct.keys.set(key, f"{number}")).index
                if "/other" not in key and "_hidden" not in key:
                    expected[key] = f"{number}"
            if luck.random() < 0.4:
                assert await mirror.wait_for_index(index, timeout=SOON)
                assert values(mirror) == expected


async def test_index_is_come_to_while_others_write_more_than_the_server_remembers(
    client: AsyncClient, connect: Connect, etcd: Server
) -> None:
    direct = connect(etcd.url)
    async with client.keys.mirror("/m") as mirror:
        for number in range(2):
            await async_foreign_writes(etcd, 1200)
            index = (await direct.keys.set("/m/a", f"{number}")).index
            elsewhere = (await direct.keys.set("/other", "")).index
            assert await mirror.wait_for_index(elsewhere, timeout=SOON)
            assert await mirror.wait_for_index(index, timeout=0)
            assert values(mirror) == {"/m/a": f"{number}"}


async def test_many_wait_for_indexes_at_once(client: AsyncClient, connect: Connect, etcd: Server) -> None:
    direct = connect(etcd.url)
    reached: list[int] = []
    async with client.keys.mirror("/m") as mirror:

        async def write_and_wait(_: None) -> None:
            index = (await direct.keys.set("/other", "")).index
            assert await mirror.wait_for_index(index, timeout=SOON)
            reached.append(index)

        await async_call_each([write_and_wait] * 30, None)
        assert len(set(reached)) == 30
        assert mirror._copy._watcher._made._polls._renewal.wanted == []


async def test_index_is_not_come_to_while_its_event_is_on_the_way(connect: Connect, etcd: Server) -> None:
    direct = connect(etcd.url)
    with TcpProxy("127.0.0.1", etcd.port) as path:
        async with connect(path.endpoint.url, timeout=PATIENT).keys.mirror("/m") as mirror:
            for how in ("stalled", "cut"):
                path.stall()
                await direct.keys.set("/m/a", how)
                index = (await direct.keys.set("/other", "")).index
                assert not await mirror.wait_for_index(index, timeout=0.5)
                if how == "cut":
                    path.cut()
                path.go()
                assert await mirror.wait_for_index(index, timeout=SOON)
                assert values(mirror) == {"/m/a": how}


async def test_index_is_come_to_although_the_member_dies(connect: Connect, etcd_cluster: Cluster) -> None:
    client = connect(etcd_cluster.endpoints, timeout=PATIENT)
    direct = connect(etcd_cluster.endpoints, timeout=PATIENT, repeat_writes=True)
    async with client.keys.mirror("/m") as mirror:
        current = client._dispatcher.current
        assert current is not None
        member = next(one for one in etcd_cluster.members if one.port == current.port)
        member.kill()
        try:
            await direct.keys.set("/m/a", "1")
            index = (await direct.keys.set("/other", "")).index
            assert await mirror.wait_for_index(index, timeout=SOON)
            assert values(mirror) == {"/m/a": "1"}
        finally:
            member.start()


async def test_index_that_the_store_has_not_come_to(client: AsyncClient, connect: Connect, etcd: Server) -> None:
    direct = connect(etcd.url)
    async with client.keys.mirror("/m") as mirror:
        index = (await direct.keys.set("/other", "")).index
        assert not await mirror.wait_for_index(index + 3, timeout=0.2)
        assert await mirror.wait_for_index(index, timeout=SOON)
        assert not await mirror.wait_for_index(index + 3, timeout=0.2)
        for _ in range(3):
            await direct.keys.set("/other", "")
        assert await mirror.wait_for_index(index + 3, timeout=SOON)


async def test_nothing_is_asked_when_nobody_waits_any_more(connect: Connect) -> None:
    with ScriptedStore() as store:
        async with connect(store.endpoint.url, timeout=PATIENT).keys.mirror("/k") as mirror:
            assert not await mirror.wait_for_index(store.index + 1, timeout=0.6)
            await async_sleep(0.3)  # what was under way
            before = len(store.requests)
            await async_sleep(1)
            assert len(store.requests) - before <= 2  # four looks in a second, if somebody waited
            store.happen(foreign=1, count=0)
            assert await mirror.wait_for_index(store.index, timeout=SOON)


async def test_wait_for_index_of_what_is_not_begun_or_closed_and_what_is_no_index(client: AsyncClient) -> None:
    mirror = client.keys.mirror("/m")
    with pytest.raises(ValueError, match="has not begun"):
        await mirror.wait_for_index(0)
    async with mirror:
        for wrong in (True, "1", 1.0, None):
            with pytest.raises(TypeError, match="index: must be an int"):
                await mirror.wait_for_index(wrong)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        for out_of_range in (-1, 2**64):
            with pytest.raises(ValueError, match="must be an index of the store"):
                await mirror.wait_for_index(out_of_range)
        with pytest.raises(ValueError, match="timeout"):
            await mirror.wait_for_index(1, timeout=-1)
    with pytest.raises(ValueError, match="is closed"):
        await mirror.wait_for_index(0)


async def test_error_that_ends_the_mirror_comes_out_of_wait_for_index(connect: Connect) -> None:
    with ScriptedStore() as store:
        async with connect(store.endpoint.url, timeout=PATIENT).keys.mirror("/k", patience=3) as mirror:
            store.away = True
            store.hang_up()
            with pytest.raises(ClusterUnavailable):
                await mirror.wait_for_index(store.index + 1, timeout=SOON)
            await async_until(lambda: mirror.closed, lambda: mirror)
