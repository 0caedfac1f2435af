"""Directories on real servers: listing, making, removing; walking what was read; hidden keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from etcdv2 import AsyncClient, DirNotEmpty, KeyExists, KeyNotFound, NotDir, NotFile, RootReadOnly, UnexpectedAnswer
from tests.tools.waiting import SOON


async def grow(client: AsyncClient) -> None:
    """/t with a, b/c, b/d/e and an empty directory z."""
    for key in ("/t/b/d/e", "/t/a", "/t/b/c"):
        await client.keys.set(key, key.upper())
    await client.keys.make_dir("/t/z")


async def test_listing_shows_one_level(client: AsyncClient) -> None:
    await grow(client)
    tree = await client.keys.get("/t", sorted=True)
    assert [(node.key, node.dir, node.children) for node in tree.node.children] == [
        ("/t/a", False, ()),
        ("/t/b", True, ()),
        ("/t/z", True, ()),
    ]


async def test_recursive_sorted_listing_walks_in_key_order(client: AsyncClient) -> None:
    await grow(client)
    tree = await client.keys.get("/t", recursive=True, sorted=True)
    assert [node.key for node in tree.walk()] == ["/t", "/t/a", "/t/b", "/t/b/c", "/t/b/d", "/t/b/d/e", "/t/z"]
    assert [(node.key, node.value) for node in tree.leaves()] == [
        ("/t/a", "/T/A"),
        ("/t/b/c", "/T/B/C"),
        ("/t/b/d/e", "/T/B/D/E"),
    ]
    assert isinstance(tree.node.nodes, tuple)
    assert [node.name for node in tree.leaves()] == ["a", "c", "e"]


async def test_sorted_lists_each_level_by_the_bytes_of_its_keys(client: AsyncClient) -> None:
    names = ["B", "a", "10", "9", "\u00e9", "_", "z"]
    for name in names:
        await client.keys.set(f"/t/{name}", "")
    listed = await client.keys.get("/t", sorted=True)
    seen = [node.name for node in listed.node.children]
    assert seen == sorted((name for name in names if name != "_"), key=str.encode)


async def test_leaves_of_a_file_is_the_file(client: AsyncClient) -> None:
    await client.keys.set("/a", "1")
    read = await client.keys.get("/a")
    assert list(read.leaves()) == list(read.walk()) == [read.node]


async def test_value_of_a_directory_raises_not_file(client: AsyncClient) -> None:
    made = await client.keys.make_dir("/d")
    assert made.node.value is None
    with pytest.raises(NotFile) as caught:
        _ = (await client.keys.get("/d")).value
    assert (caught.value.code, caught.value.cause, caught.value.status) == (102, "/d", 0)
    assert "found locally" in str(caught.value) or "index" in str(caught.value)


async def test_made_directory_is_empty_and_its_parents_are_made(client: AsyncClient) -> None:
    made = await client.keys.make_dir("/d/e/f")
    assert (made.action, made.node.key, made.node.dir, made.node.children) == ("create", "/d/e/f", True, ())
    read = await client.keys.get("/d/e/f")
    assert (read.node.dir, read.node.children, list(read.leaves())) == (True, (), [])


async def test_make_dir_refuses_what_is_there(client: AsyncClient) -> None:
    await client.keys.set("/file", "precious")
    await client.keys.make_dir("/d")
    for key in ("/file", "/d"):
        with pytest.raises(KeyExists) as caught:
            await client.keys.make_dir(key)
        assert (caught.value.code, caught.value.cause) == (105, key)
    with pytest.raises(NotDir):
        await client.keys.make_dir("/file/below")


async def test_make_dir_with_exist_ok_never_destroys_a_file(client: AsyncClient) -> None:
    await client.keys.set("/file", "precious")
    with pytest.raises(KeyExists):
        await client.keys.make_dir("/file", exist_ok=True)
    assert (await client.keys.get("/file")).value == "precious"


async def test_make_dir_with_exist_ok_returns_the_directory_as_it_is(client: AsyncClient) -> None:
    made = await client.keys.make_dir("/d", ttl=100, exist_ok=True)
    assert made.action == "create"
    await client.keys.set("/d/a", "1")
    again = await client.keys.make_dir("/d", ttl=7, exist_ok=True)
    assert (again.action, again.node.created_index) == ("get", made.index)
    assert again.node.ttl is not None
    assert again.node.ttl > 90


async def test_remove_dir_refuses_files_and_directories_with_something_in(client: AsyncClient) -> None:
    await client.keys.set("/file", "precious")
    await client.keys.set("/d/a", "1")
    with pytest.raises(NotDir) as caught:
        await client.keys.remove_dir("/file")
    assert caught.value.cause == "/file"
    with pytest.raises(NotDir):
        await client.keys.remove_dir("/file", recursive=True)
    assert (await client.keys.get("/file")).value == "precious"
    with pytest.raises(DirNotEmpty):
        await client.keys.remove_dir("/d")
    with pytest.raises(KeyNotFound):
        await client.keys.remove_dir("/none")
    assert await client.keys.exists("/d/a")


async def test_remove_dir_removes_the_empty_one_or_the_tree(client: AsyncClient) -> None:
    await client.keys.make_dir("/empty")
    gone = await client.keys.remove_dir("/empty")
    assert (gone.action, gone.node.key, gone.node.dir) == ("delete", "/empty", True)
    await grow(client)
    await client.keys.remove_dir("/t", recursive=True)
    assert not await client.keys.exists("/empty")
    assert not await client.keys.exists("/t")


async def test_writing_to_a_directory_is_refused(client: AsyncClient) -> None:
    await client.keys.make_dir("/d")
    with pytest.raises(NotFile):
        await client.keys.set("/d", "1")
    with pytest.raises(NotFile):
        await client.keys.update("/d", "1")
    with pytest.raises(NotFile):
        await client.keys.set("/d", "1", prev_index=1)
    with pytest.raises(NotFile):
        await client.keys.refresh("/d", 10, prev_index=1)


async def test_root_is_read_only(client: AsyncClient) -> None:
    writes: list[Callable[[], Any]] = [
        lambda: client.keys.set("/", "1"),
        lambda: client.keys.delete("/", recursive=True),
        lambda: client.keys.make_dir("/"),
    ]
    for write in writes:
        with pytest.raises(RootReadOnly) as caught:
            await write()
        assert (caught.value.code, caught.value.status, caught.value.cause) == (107, 400, "/")


async def test_directory_expires_with_everything_below(client: AsyncClient) -> None:
    await client.keys.make_dir("/d", ttl=1)
    await client.keys.set("/d/a", "1", ttl=100)
    async with client.keys.watch("/d", recursive=True) as watcher:
        event = await watcher.next(timeout=SOON)
    assert event is not None
    assert (event.action, event.key, event.deleted) == ("expire", "/d", True)
    assert not await client.keys.exists("/d/a")


async def test_hidden_keys_are_readable_but_not_listed(client: AsyncClient) -> None:
    await client.keys.set("/d/_h/a", "1")
    await client.keys.set("/d/_f", "2")
    assert (await client.keys.get("/d")).node.children == ()
    assert (await client.keys.get("/d/_f")).value == "2"
    assert [node.key for node in (await client.keys.get("/d/_h")).node.children] == ["/d/_h/a"]
    with pytest.raises(DirNotEmpty):
        await client.keys.remove_dir("/d")


async def test_tree_that_is_too_deep_to_be_read_at_once_is_read_level_by_level(client: AsyncClient) -> None:
    await client.keys.set("/t" + 200 * "/d" + "/f", "x")
    assert [node.value for node in (await client.keys.get("/t", recursive=True)).leaves()] == ["x"]
    await client.keys.set("/t" + 260 * "/d" + "/f", "y")
    with pytest.raises(UnexpectedAnswer, match=r"about 250 directories at most\); read it level by level"):
        await client.keys.get("/t", recursive=True)

    key, values = "/t", list[str | None]()
    while key:
        below = (await client.keys.get(key)).node.nodes
        values += [node.value for node in below if not node.dir]
        key = next((node.key for node in below if node.dir), "")
    assert values == ["x", "y"]
