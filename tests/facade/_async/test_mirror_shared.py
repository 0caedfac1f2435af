"""Many readers of one mirror: each gets what it asked for, and the server sees one watch."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient
from etcdv2._async.mirror import AsyncMirrorChanges
from tests.tools.waiting import SOON

pytestmark = pytest.mark.parametrize("transport", ["fast"])


async def taken(changes: AsyncMirrorChanges, count: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while len(found) < count:
        change = await changes.next(timeout=SOON)
        assert change is not None, found
        found.append((change.kind, change.key))
    return found


async def test_readers_of_parts_of_a_mirror_share_its_watch(client: AsyncClient) -> None:
    quiet = (await client.stats.store()).watchers
    async with client.keys.mirror("/services") as mirror:
        readers = [mirror.changes(f"/services/s{number}") for number in range(200)]
        assert (await client.stats.store()).watchers == quiet + 1
        for number in (3, 150, 3):
            await client.keys.set(f"/services/s{number}/address", "10.0.0.1")
        assert await taken(readers[3], 2) == [("added", "/services/s3/address"), ("changed", "/services/s3/address")]
        assert await taken(readers[150], 1) == [("added", "/services/s150/address")]
        assert await readers[4].next(timeout=0.05) is None
        assert await readers[15].next(timeout=0.01) is None


async def test_reader_of_a_part_gets_changes_of_that_part_alone(client: AsyncClient) -> None:
    for key in ("/m/a", "/m/ab", "/m/d/x", "/m/d2/x", "/m/d/_hidden"):
        await client.keys.set(key, "1")
    async with client.keys.mirror("/m") as mirror:
        file, directory = mirror.changes("/m/a"), mirror.changes("/m/d/", existing=True)
        slow = mirror.changes("/m/d", buffer=1)
        await client.keys.set("/m/ab", "2")
        await client.keys.set("/m/a", "2")
        await client.keys.set("/m/d2/x", "2")
        await client.keys.set("/m/d/x", "2")
        await client.keys.set("/m/d/y", "2")
        await client.keys.delete("/m/d", recursive=True)
        assert await taken(file, 1) == [("changed", "/m/a")]
        assert await taken(directory, 5) == [
            ("added", "/m/d/x"),
            ("changed", "/m/d/x"),
            ("added", "/m/d/y"),
            ("removed", "/m/d/x"),
            ("removed", "/m/d/y"),
        ]
        assert await mirror.wait_for(lambda state: "/m/d/x" not in state, SOON)
        late: list[str] = []
        while (change := await slow.next(timeout=0.1)) is not None:
            late.append(change.key)
            assert change.key.startswith("/m/d/")
        assert "/m/d/x" in late
        for reader in (file, directory):
            assert await reader.next(timeout=0.01) is None


async def test_reader_of_what_is_not_in_the_mirror_is_refused(client: AsyncClient) -> None:
    await client.keys.set("/m/a", "1")
    async with client.keys.mirror("/m") as mirror:
        for key in ("/", "/other", "/mm", "a"):
            with pytest.raises(ValueError, match="is not in the mirror of /m"):
                mirror.changes(key)
        mirror.changes("/m").close()
