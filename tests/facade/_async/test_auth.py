"""Users, roles and rights on real servers with authentication on; passwords that must not be seen."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import ApiError, AsyncClient, BadRequest, ClusterUnavailable, Conflict, NotFound, Timeout, Unauthorized
from etcdv2.testing import Server
from tests.facade._async.conftest import Connect
from tests.tools.papers import Papers
from tests.tools.waiting import SOON

ROOT = "correct-horse"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def guarded(etcd_binary: Path, papers: Papers) -> Iterator[Server]:
    """A server with authentication on."""
    with Server(etcd_binary, tls=papers.server, auth=("root", ROOT), fsync=False) as server:
        yield server


@pytest.fixture
def at_guarded(connect: Connect, guarded: Server, papers: Papers) -> Connect:
    """Makes clients of it, for guests where no password is given."""

    def make(*more_endpoints: str, **settings: Any) -> AsyncClient:
        return connect([guarded.url, *more_endpoints], tls=papers.of("nobody"), **settings)

    return make


@pytest.fixture
async def root(connect: Connect, guarded: Server, papers: Papers, at_guarded: Connect) -> AsyncIterator[AsyncClient]:
    """The root user, by its certificate; what it made is removed after the test."""
    client = connect(guarded.url, tls=papers.of("root"))
    yield client
    for user in await client.auth.users.list():
        if user.user != "root":
            await client.auth.users.delete(user.user)
    for role in await client.auth.roles.list():
        if role.role not in ("root", "guest"):
            await client.auth.roles.delete(role.role)
    guest = at_guarded()
    for node in (await guest.keys.get("/")).node.children:
        await guest.keys.delete(node.key, recursive=True)


def put(server: Server, papers: Papers, path: str, body: object) -> int:
    """As root, by another client: the status."""
    credentials = base64.b64encode(f"root:{ROOT}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    request = urllib.request.Request(f"{server.url}{path}", json.dumps(body).encode(), headers, method="PUT")
    with urllib.request.urlopen(request, context=papers.context("nobody")) as answer:
        status: int = answer.status
    return status


# --- users and roles -------------------------------------------------------------------------------------------------


async def test_user_is_created_read_listed_and_deleted(root: AsyncClient) -> None:
    users = root.auth.users
    made = await users.create("amy", "pw")
    assert (made.user, made.roles) == ("amy", None)
    read = await users.get("amy")
    assert (read.user, read.roles) == ("amy", ())
    assert [user.user for user in await users.list()] == ["amy", "root"]
    await users.delete("amy")
    with pytest.raises(NotFound) as caught:
        await users.get("amy")
    assert (caught.value.status, caught.value.code) == (404, 0)
    assert "amy" in caught.value.message


async def test_user_with_roles_is_read_with_whole_roles(root: AsyncClient) -> None:
    await root.auth.roles.create("reader", read=["/b*", "/a"], write="/w*")
    made = await root.auth.users.create("amy", "pw", roles=["reader"])
    assert made.roles == ("reader",)
    (role,) = (await root.auth.users.get("amy")).roles
    assert (role.role, role.permissions.kv.read, role.permissions.kv.write) == ("reader", ("/b*", "/a"), ("/w*",))


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
async def test_users_stay_readable_whatever_roles_are_named(
    root: AsyncClient, guarded: Server, papers: Papers, name: str
) -> None:
    users = root.auth.users
    with pytest.raises(ValueError, match="roles"):
        await users.create("amy", "pw", roles=["", name])
    await users.create("amy", "pw")
    with pytest.raises(ValueError, match="roles"):
        await users.grant("amy", "guest", name)
    assert [user.user for user in await users.list()] == ["amy", "root"]

    # Another tool gives it: reading ends the connection, and to take it away is the cure.
    assert put(guarded, papers, "/v2/auth/users/amy", {"user": "amy", "grant": [name]}) == 200
    with pytest.raises(ClusterUnavailable):
        await users.list(timeout=Timeout(total=None))
    await users.revoke("amy", name)
    assert [user.user for user in await users.list()] == ["amy", "root"]


async def test_existing_user_is_not_changed_by_create(at_guarded: Connect, root: AsyncClient) -> None:
    await root.auth.users.create("amy", "first")
    with pytest.raises(Conflict, match="amy") as caught:
        await root.auth.users.create("amy", "second")
    assert caught.value.status == 409
    await root.auth.users.create("_amy", "first")
    with pytest.raises(Conflict):
        await root.auth.users.create("_amy", "second")
    await root.auth.users.delete("_amy")
    await root.auth.roles.create("reader", read="/a*")
    await root.auth.users.grant("amy", "reader")
    amy = at_guarded(username="amy", password="first")
    assert await amy.keys.get("/a", default=None) is None


async def test_password_of_a_missing_user_is_not_changed(root: AsyncClient) -> None:
    with pytest.raises(NotFound):
        await root.auth.users.change_password("nobody", "pw")
    assert [user.user for user in await root.auth.users.list()] == ["root"]


async def test_roles_are_granted_and_revoked(root: AsyncClient) -> None:
    await root.auth.roles.create("r1")
    await root.auth.roles.create("r2")
    await root.auth.users.create("amy", "pw")
    users = root.auth.users
    assert (await users.grant("amy", "r2", "r1")).roles == ("r1", "r2")
    with pytest.raises(Conflict, match="r1"):
        await users.grant("amy", "r1")
    assert (await users.revoke("amy", "r1")).roles == ("r2",)
    with pytest.raises(Conflict, match="r1"):
        await users.revoke("amy", "r1")
    for change in (users.grant, users.revoke):
        with pytest.raises(NotFound):
            await change("nobody", "r1")
    with pytest.raises(NotFound):
        await users.delete("nobody")


async def test_patterns_of_a_role_are_granted_and_revoked(root: AsyncClient) -> None:
    roles = root.auth.roles
    made = await roles.create("r", read="/a*")
    assert (made.role, made.permissions.kv.read) == ("r", ("/a*",))
    granted = await roles.grant("r", read="/b", write=["/c*"])
    assert (granted.permissions.kv.read, granted.permissions.kv.write) == (("/a*", "/b"), ("/c*",))
    with pytest.raises(Conflict):
        await roles.grant("r", read="/b")
    revoked = await roles.revoke("r", read=["/a*"], write="/c*")
    assert (revoked.permissions.kv.read, revoked.permissions.kv.write) == (("/b",), ())
    assert await roles.get("r") == revoked
    with pytest.raises(BadRequest):
        await roles.revoke("r", read="/none")


async def test_roles_are_listed_and_errors_come_by_status(root: AsyncClient) -> None:
    roles = root.auth.roles
    await roles.create("r")
    assert {role.role for role in await roles.list()} == {"guest", "r", "root"}
    with pytest.raises(Conflict) as caught:
        await roles.create("r")
    assert (caught.value.status, caught.value.code, caught.value.endpoint) == (409, 0, root.endpoints[0])
    await roles.delete("r")
    for missing in (roles.get, roles.delete):
        with pytest.raises(NotFound):
            await missing("r")
    with pytest.raises(NotFound):
        await roles.grant("r", read="/a")


async def test_user_of_a_deleted_role_cannot_be_read_and_the_message_names_the_role(root: AsyncClient) -> None:
    await root.auth.roles.create("gone")
    await root.auth.users.create("amy", "pw", roles=["gone"])
    await root.auth.roles.delete("gone")
    with pytest.raises(NotFound, match="gone"):
        await root.auth.users.get("amy")
    assert [user.roles for user in await root.auth.users.list() if user.user == "amy"] == [()]


async def test_root_is_protected_by_status_403(root: AsyncClient) -> None:
    for forbidden in (root.auth.users.delete, root.auth.roles.delete):
        with pytest.raises(ApiError) as caught:
            await forbidden("root")
        assert (type(caught.value), caught.value.status) == (ApiError, 403)


async def test_authentication_is_turned_on_and_off(connect: Connect, etcd_binary: Path) -> None:
    with Server(etcd_binary, fsync=False) as server:
        client = connect(server.url)
        assert not await client.auth.enabled()
        assert await client.auth.users.list() == ()
        with pytest.raises(Conflict, match="root"):
            await client.auth.enable()
        with pytest.raises(Conflict):
            await client.auth.disable()
        await client.auth.users.create("root", ROOT)
        await client.auth.enable()
        assert await client.auth.enabled()
        with pytest.raises(Unauthorized):
            await client.auth.disable()
        client.set_credentials("root", ROOT)
        with pytest.raises(Conflict):
            await client.auth.enable()
        await client.auth.disable()
        assert not await client.auth.enabled()


# --- rights ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def amy(at_guarded: Connect, root: AsyncClient) -> AsyncClient:
    """May read and write /app/*, and read /exact."""
    await root.auth.roles.create("app", read=["/app/*", "/exact"], write="/app/*")
    await root.auth.users.create("amy", "amys-secret", roles=["app"])
    guest = at_guarded()
    for key in ("/app/a", "/exact", "/other"):
        await guest.keys.set(key, "1")
    return at_guarded(username="amy", password="amys-secret")


async def test_restricted_user_does_what_its_patterns_say(amy: AsyncClient) -> None:
    assert (await amy.keys.get("/app/a")).value == "1"
    await amy.keys.set("/app/b", "2")
    await amy.keys.at("/app").modify("b", lambda value: value + "!")
    assert (await amy.keys.get("/exact")).value == "1"
    for forbidden in (amy.keys.get, amy.keys.delete):
        with pytest.raises(Unauthorized) as caught:
            await forbidden("/other")
        error = caught.value
        assert (error.code, error.status, error.index, error.cause) == (110, 401, 0, "Insufficient credentials")
    with pytest.raises(Unauthorized):
        await amy.keys.set("/exact", "2")
    with pytest.raises(Unauthorized):
        await amy.keys.get("/none", default=None)


async def test_trailing_slash_is_seen_by_role_patterns(amy: AsyncClient) -> None:
    listed = await amy.keys.get("/app/")
    assert [node.key for node in listed.node.children] == ["/app/a"]
    assert (await amy.keys.get("/app/", recursive=True)).node.key == "/app"
    with pytest.raises(Unauthorized):
        await amy.keys.get("/app")
    with pytest.raises(Unauthorized):
        await amy.keys.get("/exact/")


async def test_restricted_user_manages_nothing(amy: AsyncClient) -> None:
    with pytest.raises(Unauthorized) as caught:
        await amy.auth.users.get("amy")
    assert (caught.value.status, caught.value.code) == (401, 0)
    with pytest.raises(Unauthorized):
        await amy.auth.roles.list()
    with pytest.raises(Unauthorized):
        await amy.members.add("http://127.0.0.1:1")
    assert len(await amy.members.list()) == 1
    assert await amy.auth.enabled()
    assert (await amy.stats.store()).gets_success > 0
    assert (await amy.health()).healthy


async def test_restricted_user_watches_what_it_may_read(amy: AsyncClient, root: AsyncClient) -> None:
    async with amy.keys.watch("/app/", recursive=True) as tree, amy.keys.watch("/exact") as exact:
        await root.keys.set("/app/b", "2")
        await root.keys.set("/exact", "2")
        seen = [await tree.next(timeout=SOON), await exact.next(timeout=SOON)]
    assert [event and (event.key, event.value) for event in seen] == [("/app/b", "2"), ("/exact", "2")]
    with pytest.raises(Unauthorized):
        async with amy.keys.watch("/other"):
            pass


async def test_wrong_password_and_unknown_user_are_refused(at_guarded: Connect, amy: AsyncClient) -> None:
    for name, password in (("amy", "wrong"), ("nobody", "pw"), ("amy", ""), ("root", "x")):
        client = at_guarded(username=name, password=password)
        with pytest.raises(Unauthorized):
            await client.keys.get("/app/a")
        with pytest.raises(Unauthorized):
            await client.keys.set("/app/a", "2")
        with pytest.raises(Unauthorized):
            async with client.keys.watch("/app/a"):
                pass


async def test_without_credentials_a_client_is_the_guest(at_guarded: Connect, root: AsyncClient) -> None:
    guest = at_guarded()
    await guest.keys.set("/g", "1")
    await root.auth.roles.revoke("guest", write="/*")
    try:
        assert (await guest.keys.get("/g")).value == "1"
        with pytest.raises(Unauthorized):
            await guest.keys.set("/g", "2")
        with pytest.raises(Unauthorized):
            await guest.auth.users.list()
    finally:
        await root.auth.roles.grant("guest", write="/*")


async def test_credentials_change_at_run_time(amy: AsyncClient, root: AsyncClient) -> None:
    await root.auth.users.change_password("amy", "new-secret")
    with pytest.raises(Unauthorized):
        await amy.keys.get("/app/a")
    amy.set_credentials("amy", "new-secret")
    assert (await amy.keys.get("/app/a")).value == "1"
    amy.set_credentials("root", ROOT)
    assert len(await amy.auth.users.list()) == 2
    amy.set_credentials(None)
    with pytest.raises(Unauthorized):
        await amy.auth.users.list()


async def test_password_of_72_bytes_logs_in(at_guarded: Connect, root: AsyncClient) -> None:
    password = "\u00e9" * 36
    await root.auth.roles.create("all", read="*", write="*")
    await root.auth.users.create("m\u00fcller x", password, roles=["all"])
    client = at_guarded(username="m\u00fcller x", password=password)
    await client.keys.set("/any", "1")


# --- secrets ---------------------------------------------------------------------------------------------------------


async def test_no_password_is_logged(at_guarded: Connect, root: AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await root.auth.users.create("amy", "amys-secret")
    await root.auth.users.change_password("amy", "other-secret")
    client = at_guarded("https://127.0.0.1:1", username="amy", password="wrong-secret")
    with pytest.raises(Unauthorized) as caught:
        await client.keys.get("/a")
    shown = caplog.text + repr(client) + str(client) + repr(caught.value) + str(caught.value)
    shown += repr(client.keys) + repr(client.auth) + pickle.dumps(caught.value).decode("latin-1")
    for secret in ("amys-secret", "other-secret", "wrong-secret", ROOT, "Basic "):
        assert secret not in shown
