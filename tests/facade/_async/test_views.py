"""Views below a prefix, `keys.at`, on real servers."""

from __future__ import annotations

import pytest

from etcdv2 import AsyncClient, KeyNotFound
from tests.tools.waiting import SOON


async def test_keys_in_a_view_are_relative_and_nodes_absolute(client: AsyncClient) -> None:
    app = client.keys.at("/app")
    written = await app.set("name", "v")
    assert written.node.key == "/app/name"
    assert (await client.keys.get("/app/name")).value == "v"
    assert (await app.get("name")).node.key == "/app/name"


@pytest.mark.parametrize("prefix", ["/app/sub", "app/sub", "/app/sub/", "app/sub/"])
async def test_prefix_may_be_written_with_and_without_slashes(client: AsyncClient, prefix: str) -> None:
    view = client.keys.at(prefix)
    assert view.prefix == "/app/sub"
    assert (await view.set("a", "1")).node.key == "/app/sub/a"


async def test_view_in_a_view_adds_its_prefix(client: AsyncClient) -> None:
    inner = client.keys.at("/app").at("sub").at("deep/er")
    assert inner.prefix == "/app/sub/deep/er"
    assert (await inner.set("a", "1")).node.key == "/app/sub/deep/er/a"
    assert "/app/sub/deep/er" in repr(inner)


async def test_empty_key_is_the_directory_of_the_view(client: AsyncClient) -> None:
    app = client.keys.at("app")
    assert not await app.exists("")
    await app.make_dir("")
    for name in ("b", "a"):
        await app.set(name, name)
    listed = await app.get("", sorted=True)
    assert (listed.node.key, [node.key for node in listed.node.children]) == ("/app", ["/app/a", "/app/b"])
    queued = await app.create_in_order("", "job")
    assert queued.node.key.startswith("/app/0000")
    await app.remove_dir("", recursive=True)
    assert not await client.keys.exists("/app")


async def test_every_method_is_relative_in_a_view(client: AsyncClient) -> None:
    await client.keys.set("/a", "outside")
    app = client.keys.at("/app")
    await app.create("a", "1", ttl=100)
    await app.update("a", "2", ttl=100)
    await app.refresh("a", 50)
    await app.persist("a")
    await app.modify("a", lambda value: value + "!")
    assert (await client.keys.get("/app/a")).value == "2!"
    await app.delete("a")
    await app.make_dir("d")
    await app.make_dir("d", exist_ok=True)
    await app.remove_dir("d")
    assert (await client.keys.get("/app")).node.children == ()
    assert (await client.keys.get("/a")).value == "outside"


async def test_watch_in_a_view_sees_the_view_only(client: AsyncClient) -> None:
    app = client.keys.at("/app")
    async with app.watch("", recursive=True) as watcher:
        assert watcher.key == "/app"
        await client.keys.set("/apple", "no")
        await app.set("a", "yes")
        event = await watcher.next(timeout=SOON)
    assert event is not None
    assert (event.key, event.value) == ("/app/a", "yes")


async def test_key_that_looks_like_a_prefix_of_the_view_is_relative_too(client: AsyncClient) -> None:
    app = client.keys.at("/app")
    await app.set("app/a", "1")
    assert (await client.keys.get("/app/app/a")).value == "1"
    with pytest.raises(KeyNotFound):
        await client.keys.get("/app/a")


async def test_making_a_view_leaves_the_outer_one_as_it_was(client: AsyncClient) -> None:
    client.keys.at("/app")
    assert client.keys.prefix == ""
    await client.keys.set("/a", "1")
    assert (await client.keys.get("a")).node.key == "/a"
