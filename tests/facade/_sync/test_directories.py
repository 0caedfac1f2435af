# Derived from tests/facade/_async/test_directories.py by scripts/unasync.py: change that file, make generate.
"""Directories on real servers: listing, making, removing; walking what was read; hidden keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from etcdv2 import Client, DirNotEmpty, KeyExists, KeyNotFound, NotDir, NotFile, RootReadOnly, UnexpectedAnswer
from tests.tools.waiting import SOON


def grow(client: Client) -> None:
    """/t with a, b/c, b/d/e and an empty directory z."""
    for key in ("/t/b/d/e", "/t/a", "/t/b/c"):
        client.keys.set(key, key.upper())
    client.keys.make_dir("/t/z")


def test_listing_shows_one_level(client: Client) -> None:
    grow(client)
    tree = client.keys.get("/t", sorted=True)
    assert [(node.key, node.dir, node.children) for node in tree.node.children] == [
        ("/t/a", False, ()),
        ("/t/b", True, ()),
        ("/t/z", True, ()),
    ]


def test_recursive_sorted_listing_walks_in_key_order(client: Client) -> None:
    grow(client)
    tree = client.keys.get("/t", recursive=True, sorted=True)
    assert [node.key for node in tree.walk()] == ["/t", "/t/a", "/t/b", "/t/b/c", "/t/b/d", "/t/b/d/e", "/t/z"]
    assert [(node.key, node.value) for node in tree.leaves()] == [
        ("/t/a", "/T/A"),
        ("/t/b/c", "/T/B/C"),
        ("/t/b/d/e", "/T/B/D/E"),
    ]
    assert isinstance(tree.node.nodes, tuple)
    assert [node.name for node in tree.leaves()] == ["a", "c", "e"]


def test_sorted_lists_each_level_by_the_bytes_of_its_keys(client: Client) -> None:
    names = ["B", "a", "10", "9", "\u00e9", "_", "z"]
    for name in names:
        client.keys.set(f"/t/{name}", "")
    listed = client.keys.get("/t", sorted=True)
    seen = [node.name for node in listed.node.children]
    assert seen == sorted((name for name in names if name != "_"), key=str.encode)


def test_leaves_of_a_file_is_the_file(client: Client) -> None:
    client.keys.set("/a", "1")
    read = client.keys.get("/a")
    assert list(read.leaves()) == list(read.walk()) == [read.node]


def test_value_of_a_directory_raises_not_file(client: Client) -> None:
    made = client.keys.make_dir("/d")
    assert made.node.value is None
    with pytest.raises(NotFile) as caught:
        _ = (client.keys.get("/d")).value
    assert (caught.value.code, caught.value.cause, caught.value.status) == (102, "/d", 0)
    assert "found locally" in str(caught.value) or "index" in str(caught.value)


def test_made_directory_is_empty_and_its_parents_are_made(client: Client) -> None:
    made = client.keys.make_dir("/d/e/f")
    assert (made.action, made.node.key, made.node.dir, made.node.children) == ("create", "/d/e/f", True, ())
    read = client.keys.get("/d/e/f")
    assert (read.node.dir, read.node.children, list(read.leaves())) == (True, (), [])


def test_make_dir_refuses_what_is_there(client: Client) -> None:
    client.keys.set("/file", "precious")
    client.keys.make_dir("/d")
    for key in ("/file", "/d"):
        with pytest.raises(KeyExists) as caught:
            client.keys.make_dir(key)
        assert (caught.value.code, caught.value.cause) == (105, key)
    with pytest.raises(NotDir):
        client.keys.make_dir("/file/below")


def test_make_dir_with_exist_ok_never_destroys_a_file(client: Client) -> None:
    client.keys.set("/file", "precious")
    with pytest.raises(KeyExists):
        client.keys.make_dir("/file", exist_ok=True)
    assert (client.keys.get("/file")).value == "precious"


def test_make_dir_with_exist_ok_returns_the_directory_as_it_is(client: Client) -> None:
    made = client.keys.make_dir("/d", ttl=100, exist_ok=True)
    assert made.action == "create"
    client.keys.set("/d/a", "1")
    again = client.keys.make_dir("/d", ttl=7, exist_ok=True)
    assert (again.action, again.node.created_index) == ("get", made.index)
    assert again.node.ttl is not None
    assert again.node.ttl > 90


def test_remove_dir_refuses_files_and_directories_with_something_in(client: Client) -> None:
    client.keys.set("/file", "precious")
    client.keys.set("/d/a", "1")
    with pytest.raises(NotDir) as caught:
        client.keys.remove_dir("/file")
    assert caught.value.cause == "/file"
    with pytest.raises(NotDir):
        client.keys.remove_dir("/file", recursive=True)
    assert (client.keys.get("/file")).value == "precious"
    with pytest.raises(DirNotEmpty):
        client.keys.remove_dir("/d")
    with pytest.raises(KeyNotFound):
        client.keys.remove_dir("/none")
    assert client.keys.exists("/d/a")


def test_remove_dir_removes_the_empty_one_or_the_tree(client: Client) -> None:
    client.keys.make_dir("/empty")
    gone = client.keys.remove_dir("/empty")
    assert (gone.action, gone.node.key, gone.node.dir) == ("delete", "/empty", True)
    grow(client)
    client.keys.remove_dir("/t", recursive=True)
    assert not client.keys.exists("/empty")
    assert not client.keys.exists("/t")


def test_writing_to_a_directory_is_refused(client: Client) -> None:
    client.keys.make_dir("/d")
    with pytest.raises(NotFile):
        client.keys.set("/d", "1")
    with pytest.raises(NotFile):
        client.keys.update("/d", "1")
    with pytest.raises(NotFile):
        client.keys.set("/d", "1", prev_index=1)
    with pytest.raises(NotFile):
        client.keys.refresh("/d", 10, prev_index=1)


def test_root_is_read_only(client: Client) -> None:
    writes: list[Callable[[], Any]] = [
        lambda: client.keys.set("/", "1"),
        lambda: client.keys.delete("/", recursive=True),
        lambda: client.keys.make_dir("/"),
    ]
    for write in writes:
        with pytest.raises(RootReadOnly) as caught:
            write()
        assert (caught.value.code, caught.value.status, caught.value.cause) == (107, 400, "/")


def test_directory_expires_with_everything_below(client: Client) -> None:
    client.keys.make_dir("/d", ttl=1)
    client.keys.set("/d/a", "1", ttl=100)
    with client.keys.watch("/d", recursive=True) as watcher:
        event = watcher.next(timeout=SOON)
    assert event is not None
    assert (event.action, event.key, event.deleted) == ("expire", "/d", True)
    assert not client.keys.exists("/d/a")


def test_hidden_keys_are_readable_but_not_listed(client: Client) -> None:
    client.keys.set("/d/_h/a", "1")
    client.keys.set("/d/_f", "2")
    assert (client.keys.get("/d")).node.children == ()
    assert (client.keys.get("/d/_f")).value == "2"
    assert [node.key for node in (client.keys.get("/d/_h")).node.children] == ["/d/_h/a"]
    with pytest.raises(DirNotEmpty):
        client.keys.remove_dir("/d")


def test_tree_that_is_too_deep_to_be_read_at_once_is_read_level_by_level(client: Client) -> None:
    client.keys.set("/t" + 200 * "/d" + "/f", "x")
    assert [node.value for node in (client.keys.get("/t", recursive=True)).leaves()] == ["x"]
    client.keys.set("/t" + 260 * "/d" + "/f", "y")
    with pytest.raises(UnexpectedAnswer, match=r"about 250 directories at most\); read it level by level"):
        client.keys.get("/t", recursive=True)

    key, values = "/t", list[str | None]()
    while key:
        below = (client.keys.get(key)).node.nodes
        values += [node.value for node in below if not node.dir]
        key = next((node.key for node in below if node.dir), "")
    assert values == ["x", "y"]
