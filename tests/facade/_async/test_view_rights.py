"""What a role permits of a directory, its user can do by its key with and without a slash, in views too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import AsyncClient, Unauthorized
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.papers import Papers


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def guarded(etcd_binary: Path, papers: Papers) -> Iterator[Server]:
    with Server(etcd_binary, tls=papers.server, auth=("root", "root-pw"), fsync=False) as server:
        yield server


@pytest.fixture
async def root(connect: Connect, guarded: Server, papers: Papers) -> AsyncIterator[AsyncClient]:
    """The root user; what it made is removed after the test."""
    client = connect(guarded.url, tls=papers.of("root"))
    await client.keys.set("/q/a", "1")
    yield client
    if any(user.user == "amy" for user in await client.auth.users.list()):
        await client.auth.users.delete("amy")
    for role in await client.auth.roles.list():
        if role.role not in ("root", "guest"):
            await client.auth.roles.delete(role.role)
    await client.keys.delete("/q", recursive=True, missing_ok=True)


@pytest.fixture
async def amy(connect: Connect, root: AsyncClient, guarded: Server, papers: Papers, pattern: list[str]) -> AsyncClient:
    """May read and write `pattern` only."""
    await root.auth.roles.create("q", read=pattern, write=pattern)
    await root.auth.users.create("amy", "pw", roles=["q"])
    return connect(guarded.url, tls=papers.of("amy"))


async def lists(keys: Any, key: str) -> None:
    assert [node.key for node in (await keys.get(key)).node.children] == ["/q/a"]
    assert await keys.exists(key)


async def goes_recursively(keys: Any, key: str, root: AsyncClient) -> None:
    assert [node.key for node in (await keys.get(key, recursive=True)).leaves()] == ["/q/a"]
    async with keys.watch(key, recursive=True) as watch, keys.mirror(key) as mirror:
        assert (watch.key, mirror.key) == ("/q", "/q")
        assert list(mirror) == ["/q/a"]
        written = await root.keys.set("/q/b", "2")
        event = await watch.next(timeout=60)
        assert event is not None
        assert (event.key, event.index) == ("/q/b", written.index)
        await mirror.wait_for(lambda state: "/q/b" in state, timeout=60)
    async with keys.watch(key, recursive=True, snapshots=True) as watch:
        assert await watch.next(timeout=60) is not None
    await root.keys.delete("/q/b")


async def adds_in_order(keys: Any, key: str, root: AsyncClient) -> None:
    made = await keys.create_in_order(key, "job")
    assert made.node.key.startswith("/q/0000")
    assert (await keys.create_in_order(key, "job", no_value_on_success=True)).index > made.index
    for node in (await root.keys.get("/q")).node.children:
        if node.key != "/q/a":
            await root.keys.delete(node.key)


@pytest.mark.thorough(versions=True)
@pytest.mark.parametrize("pattern", [["/q/*"], ["/q*"], ["/q", "/q/*"]])
async def test_view_works_at_its_own_root(amy: AsyncClient, root: AsyncClient) -> None:
    for view in (amy.keys.at("/q"), amy.keys.at("/q/")):
        await lists(view, "")
        await goes_recursively(view, "", root)
        await adds_in_order(view, "", root)
    view = amy.keys.at("/q")
    await view.remove_dir("", recursive=True)
    assert await view.remove_dir("", missing_ok=True) is None
    made = await view.make_dir("")
    assert (made.node.key, made.node.dir) == ("/q", True)
    assert (await view.make_dir("", exist_ok=True)).node.created_index == made.index
    await view.delete("", dir=True)
    assert await view.delete("", dir=True, missing_ok=True) is None


@pytest.mark.parametrize("pattern", [["/q/*"]])
async def test_what_goes_recursively_may_leave_the_slash_out(amy: AsyncClient, root: AsyncClient) -> None:
    await goes_recursively(amy.keys, "/q", root)
    await adds_in_order(amy.keys, "/q", root)
    with pytest.raises(Unauthorized):
        await amy.keys.get("/q")  # may be a file: it is asked as it is written
    await amy.keys.delete("/q", recursive=True)


@pytest.mark.parametrize("pattern", [["/q"]])
async def test_exact_pattern_permits_what_it_did(amy: AsyncClient, root: AsyncClient) -> None:
    for keys, key in ((amy.keys.at("/q"), ""), (amy.keys, "/q")):
        await lists(keys, key)
        await adds_in_order(keys, key, root)
    with pytest.raises(Unauthorized):
        await amy.keys.at("/q").get("", recursive=True)
    with pytest.raises(Unauthorized):
        await amy.keys.at("/q/").create_in_order("a", "")


@pytest.mark.parametrize("pattern", ["/q", "/q/*"])
async def test_guest_whose_rights_are_few(
    connect: Connect, root: AsyncClient, guarded: Server, papers: Papers, pattern: str
) -> None:
    await root.auth.roles.revoke("guest", read="/*", write="/*")
    await root.auth.roles.grant("guest", read=pattern, write=pattern)
    try:
        guest = connect(guarded.url, tls=papers.of("nobody"))
        view = guest.keys.at("/q" if pattern == "/q" else "/q/")
        await lists(view, "")
        await goes_recursively(view, "", root)
        await adds_in_order(view, "", root)
        await guest.keys.at("/q").get("", recursive=True)
    finally:
        await root.auth.roles.revoke("guest", read=pattern, write=pattern)
        await root.auth.roles.grant("guest", read="/*", write="/*")
