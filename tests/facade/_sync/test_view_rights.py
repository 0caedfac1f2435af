# Derived from tests/facade/_async/test_view_rights.py by scripts/unasync.py: change that file, make generate.
"""What a role permits of a directory, its user can do by its key with and without a slash, in views too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import Client, Unauthorized
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
from tests.tools.papers import Papers


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def guarded(etcd_binary: Path, papers: Papers) -> Iterator[Server]:
    with Server(etcd_binary, tls=papers.server, auth=("root", "root-pw"), fsync=False) as server:
        yield server


@pytest.fixture
def root(connect: Connect, guarded: Server, papers: Papers) -> Iterator[Client]:
    """The root user; what it made is removed after the test."""
    client = connect(guarded.url, tls=papers.of("root"))
    client.keys.set("/q/a", "1")
    yield client
    if any(user.user == "amy" for user in client.auth.users.list()):
        client.auth.users.delete("amy")
    for role in client.auth.roles.list():
        if role.role not in ("root", "guest"):
            client.auth.roles.delete(role.role)
    client.keys.delete("/q", recursive=True, missing_ok=True)


@pytest.fixture
def amy(connect: Connect, root: Client, guarded: Server, papers: Papers, pattern: list[str]) -> Client:
    """May read and write `pattern` only."""
    root.auth.roles.create("q", read=pattern, write=pattern)
    root.auth.users.create("amy", "pw", roles=["q"])
    return connect(guarded.url, tls=papers.of("amy"))


def lists(keys: Any, key: str) -> None:
    assert [node.key for node in (keys.get(key)).node.children] == ["/q/a"]
    assert keys.exists(key)


def goes_recursively(keys: Any, key: str, root: Client) -> None:
    assert [node.key for node in (keys.get(key, recursive=True)).leaves()] == ["/q/a"]
    with keys.watch(key, recursive=True) as watch, keys.mirror(key) as mirror:
        assert (watch.key, mirror.key) == ("/q", "/q")
        assert list(mirror) == ["/q/a"]
        written = root.keys.set("/q/b", "2")
        event = watch.next(timeout=60)
        assert event is not None
        assert (event.key, event.index) == ("/q/b", written.index)
        mirror.wait_for(lambda state: "/q/b" in state, timeout=60)
    with keys.watch(key, recursive=True, snapshots=True) as watch:
        assert watch.next(timeout=60) is not None
    root.keys.delete("/q/b")


def adds_in_order(keys: Any, key: str, root: Client) -> None:
    made = keys.create_in_order(key, "job")
    assert made.node.key.startswith("/q/0000")
    assert (keys.create_in_order(key, "job", no_value_on_success=True)).index > made.index
    for node in (root.keys.get("/q")).node.children:
        if node.key != "/q/a":
            root.keys.delete(node.key)


@pytest.mark.thorough(versions=True)
@pytest.mark.parametrize("pattern", [["/q/*"], ["/q*"], ["/q", "/q/*"]])
def test_view_works_at_its_own_root(amy: Client, root: Client) -> None:
    for view in (amy.keys.at("/q"), amy.keys.at("/q/")):
        lists(view, "")
        goes_recursively(view, "", root)
        adds_in_order(view, "", root)
    view = amy.keys.at("/q")
    view.remove_dir("", recursive=True)
    assert view.remove_dir("", missing_ok=True) is None
    made = view.make_dir("")
    assert (made.node.key, made.node.dir) == ("/q", True)
    assert (view.make_dir("", exist_ok=True)).node.created_index == made.index
    view.delete("", dir=True)
    assert view.delete("", dir=True, missing_ok=True) is None


@pytest.mark.parametrize("pattern", [["/q/*"]])
def test_what_goes_recursively_may_leave_the_slash_out(amy: Client, root: Client) -> None:
    goes_recursively(amy.keys, "/q", root)
    adds_in_order(amy.keys, "/q", root)
    with pytest.raises(Unauthorized):
        amy.keys.get("/q")  # may be a file: it is asked as it is written
    amy.keys.delete("/q", recursive=True)


@pytest.mark.parametrize("pattern", [["/q"]])
def test_exact_pattern_permits_what_it_did(amy: Client, root: Client) -> None:
    for keys, key in ((amy.keys.at("/q"), ""), (amy.keys, "/q")):
        lists(keys, key)
        adds_in_order(keys, key, root)
    with pytest.raises(Unauthorized):
        amy.keys.at("/q").get("", recursive=True)
    with pytest.raises(Unauthorized):
        amy.keys.at("/q/").create_in_order("a", "")


@pytest.mark.parametrize("pattern", ["/q", "/q/*"])
def test_guest_whose_rights_are_few(
    connect: Connect, root: Client, guarded: Server, papers: Papers, pattern: str
) -> None:
    root.auth.roles.revoke("guest", read="/*", write="/*")
    root.auth.roles.grant("guest", read=pattern, write=pattern)
    try:
        guest = connect(guarded.url, tls=papers.of("nobody"))
        view = guest.keys.at("/q" if pattern == "/q" else "/q/")
        lists(view, "")
        goes_recursively(view, "", root)
        adds_in_order(view, "", root)
        guest.keys.at("/q").get("", recursive=True)
    finally:
        root.auth.roles.revoke("guest", read=pattern, write=pattern)
        root.auth.roles.grant("guest", read="/*", write="/*")
