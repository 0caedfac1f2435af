# Derived from tests/facade/_async/test_views.py by scripts/unasync.py: change that file, make generate.
"""Views below a prefix, `keys.at`, on real servers."""

from __future__ import annotations

import pytest

from etcdv2 import Client, KeyNotFound
from tests.tools.waiting import SOON


def test_keys_in_a_view_are_relative_and_nodes_absolute(client: Client) -> None:
    app = client.keys.at("/app")
    written = app.set("name", "v")
    assert written.node.key == "/app/name"
    assert (client.keys.get("/app/name")).value == "v"
    assert (app.get("name")).node.key == "/app/name"


@pytest.mark.parametrize("prefix", ["/app/sub", "app/sub", "/app/sub/", "app/sub/"])
def test_prefix_may_be_written_with_and_without_slashes(client: Client, prefix: str) -> None:
    view = client.keys.at(prefix)
    assert view.prefix == "/app/sub"
    assert (view.set("a", "1")).node.key == "/app/sub/a"


def test_view_in_a_view_adds_its_prefix(client: Client) -> None:
    inner = client.keys.at("/app").at("sub").at("deep/er")
    assert inner.prefix == "/app/sub/deep/er"
    assert (inner.set("a", "1")).node.key == "/app/sub/deep/er/a"
    assert "/app/sub/deep/er" in repr(inner)


def test_empty_key_is_the_directory_of_the_view(client: Client) -> None:
    app = client.keys.at("app")
    assert not app.exists("")
    app.make_dir("")
    for name in ("b", "a"):
        app.set(name, name)
    listed = app.get("", sorted=True)
    assert (listed.node.key, [node.key for node in listed.node.children]) == ("/app", ["/app/a", "/app/b"])
    queued = app.create_in_order("", "job")
    assert queued.node.key.startswith("/app/0000")
    app.remove_dir("", recursive=True)
    assert not client.keys.exists("/app")


def test_every_method_is_relative_in_a_view(client: Client) -> None:
    client.keys.set("/a", "outside")
    app = client.keys.at("/app")
    app.create("a", "1", ttl=100)
    app.update("a", "2", ttl=100)
    app.refresh("a", 50)
    app.persist("a")
    app.modify("a", lambda value: value + "!")
    assert (client.keys.get("/app/a")).value == "2!"
    app.delete("a")
    app.make_dir("d")
    app.make_dir("d", exist_ok=True)
    app.remove_dir("d")
    assert (client.keys.get("/app")).node.children == ()
    assert (client.keys.get("/a")).value == "outside"


def test_watch_in_a_view_sees_the_view_only(client: Client) -> None:
    app = client.keys.at("/app")
    with app.watch("", recursive=True) as watcher:
        assert watcher.key == "/app"
        client.keys.set("/apple", "no")
        app.set("a", "yes")
        event = watcher.next(timeout=SOON)
    assert event is not None
    assert (event.key, event.value) == ("/app/a", "yes")


def test_key_that_looks_like_a_prefix_of_the_view_is_relative_too(client: Client) -> None:
    app = client.keys.at("/app")
    app.set("app/a", "1")
    assert (client.keys.get("/app/app/a")).value == "1"
    with pytest.raises(KeyNotFound):
        client.keys.get("/app/a")


def test_making_a_view_leaves_the_outer_one_as_it_was(client: Client) -> None:
    client.keys.at("/app")
    assert client.keys.prefix == ""
    client.keys.set("/a", "1")
    assert (client.keys.get("a")).node.key == "/a"
