"""The keys API against real servers."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient, KeyNotFound


async def test_what_is_set_is_read_back(client: AsyncClient) -> None:
    written = await client.keys.set("/a", "1")
    read = await client.keys.get("/a")
    assert (read.value, read.node.modified_index) == ("1", written.index)


async def test_missing_key_raises_key_not_found_or_gives_the_default(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound) as caught:
        await client.keys.get("/none")
    assert (caught.value.code, caught.value.status, caught.value.cause) == (100, 404, "/none")
    assert await client.keys.get("/none", default=None) is None
