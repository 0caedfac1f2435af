# Derived from tests/facade/_async/test_auth.py by scripts/unasync.py: change that file, make generate.
"""Users, roles and rights on real servers with authentication on; passwords that must not be seen."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etcdv2 import ApiError, BadRequest, Client, ClusterUnavailable, Conflict, NotFound, Timeout, Unauthorized
from etcdv2.testing import Server
from tests.facade._sync.conftest import Connect
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

    def make(*more_endpoints: str, **settings: Any) -> Client:
        return connect([guarded.url, *more_endpoints], tls=papers.of("nobody"), **settings)

    return make


@pytest.fixture
def root(connect: Connect, guarded: Server, papers: Papers, at_guarded: Connect) -> Iterator[Client]:
    """The root user, by its certificate; what it made is removed after the test."""
    client = connect(guarded.url, tls=papers.of("root"))
    yield client
    for user in client.auth.users.list():
        if user.user != "root":
            client.auth.users.delete(user.user)
    for role in client.auth.roles.list():
        if role.role not in ("root", "guest"):
            client.auth.roles.delete(role.role)
    guest = at_guarded()
    for node in (guest.keys.get("/")).node.children:
        guest.keys.delete(node.key, recursive=True)


def put(server: Server, papers: Papers, path: str, body: object) -> int:
    """As root, by another client: the status."""
    credentials = base64.b64encode(f"root:{ROOT}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    request = urllib.request.Request(f"{server.url}{path}", json.dumps(body).encode(), headers, method="PUT")
    with urllib.request.urlopen(request, context=papers.context("nobody")) as answer:
        status: int = answer.status
    return status


# --- users and roles -------------------------------------------------------------------------------------------------


def test_user_is_created_read_listed_and_deleted(root: Client) -> None:
    users = root.auth.users
    made = users.create("amy", "pw")
    assert (made.user, made.roles) == ("amy", None)
    read = users.get("amy")
    assert (read.user, read.roles) == ("amy", ())
    assert [user.user for user in users.list()] == ["amy", "root"]
    users.delete("amy")
    with pytest.raises(NotFound) as caught:
        users.get("amy")
    assert (caught.value.status, caught.value.code) == (404, 0)
    assert "amy" in caught.value.message


def test_user_with_roles_is_read_with_whole_roles(root: Client) -> None:
    root.auth.roles.create("reader", read=["/b*", "/a"], write="/w*")
    made = root.auth.users.create("amy", "pw", roles=["reader"])
    assert made.roles == ("reader",)
    (role,) = (root.auth.users.get("amy")).roles
    assert (role.role, role.permissions.kv.read, role.permissions.kv.write) == ("reader", ("/b*", "/a"), ("/w*",))


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_users_stay_readable_whatever_roles_are_named(root: Client, guarded: Server, papers: Papers, name: str) -> None:
    users = root.auth.users
    with pytest.raises(ValueError, match="roles"):
        users.create("amy", "pw", roles=["", name])
    users.create("amy", "pw")
    with pytest.raises(ValueError, match="roles"):
        users.grant("amy", "guest", name)
    assert [user.user for user in users.list()] == ["amy", "root"]

    # Another tool gives it: reading ends the connection, and to take it away is the cure.
    assert put(guarded, papers, "/v2/auth/users/amy", {"user": "amy", "grant": [name]}) == 200
    with pytest.raises(ClusterUnavailable):
        users.list(timeout=Timeout(total=None))
    users.revoke("amy", name)
    assert [user.user for user in users.list()] == ["amy", "root"]


def test_existing_user_is_not_changed_by_create(at_guarded: Connect, root: Client) -> None:
    root.auth.users.create("amy", "first")
    with pytest.raises(Conflict, match="amy") as caught:
        root.auth.users.create("amy", "second")
    assert caught.value.status == 409
    root.auth.users.create("_amy", "first")
    with pytest.raises(Conflict):
        root.auth.users.create("_amy", "second")
    root.auth.users.delete("_amy")
    root.auth.roles.create("reader", read="/a*")
    root.auth.users.grant("amy", "reader")
    amy = at_guarded(username="amy", password="first")
    assert amy.keys.get("/a", default=None) is None


def test_password_of_a_missing_user_is_not_changed(root: Client) -> None:
    with pytest.raises(NotFound):
        root.auth.users.change_password("nobody", "pw")
    assert [user.user for user in root.auth.users.list()] == ["root"]


def test_roles_are_granted_and_revoked(root: Client) -> None:
    root.auth.roles.create("r1")
    root.auth.roles.create("r2")
    root.auth.users.create("amy", "pw")
    users = root.auth.users
    assert (users.grant("amy", "r2", "r1")).roles == ("r1", "r2")
    with pytest.raises(Conflict, match="r1"):
        users.grant("amy", "r1")
    assert (users.revoke("amy", "r1")).roles == ("r2",)
    with pytest.raises(Conflict, match="r1"):
        users.revoke("amy", "r1")
    for change in (users.grant, users.revoke):
        with pytest.raises(NotFound):
            change("nobody", "r1")
    with pytest.raises(NotFound):
        users.delete("nobody")


def test_patterns_of_a_role_are_granted_and_revoked(root: Client) -> None:
    roles = root.auth.roles
    made = roles.create("r", read="/a*")
    assert (made.role, made.permissions.kv.read) == ("r", ("/a*",))
    granted = roles.grant("r", read="/b", write=["/c*"])
    assert (granted.permissions.kv.read, granted.permissions.kv.write) == (("/a*", "/b"), ("/c*",))
    with pytest.raises(Conflict):
        roles.grant("r", read="/b")
    revoked = roles.revoke("r", read=["/a*"], write="/c*")
    assert (revoked.permissions.kv.read, revoked.permissions.kv.write) == (("/b",), ())
    assert roles.get("r") == revoked
    with pytest.raises(BadRequest):
        roles.revoke("r", read="/none")


def test_roles_are_listed_and_errors_come_by_status(root: Client) -> None:
    roles = root.auth.roles
    roles.create("r")
    assert {role.role for role in roles.list()} == {"guest", "r", "root"}
    with pytest.raises(Conflict) as caught:
        roles.create("r")
    assert (caught.value.status, caught.value.code, caught.value.endpoint) == (409, 0, root.endpoints[0])
    roles.delete("r")
    for missing in (roles.get, roles.delete):
        with pytest.raises(NotFound):
            missing("r")
    with pytest.raises(NotFound):
        roles.grant("r", read="/a")


def test_user_of_a_deleted_role_cannot_be_read_and_the_message_names_the_role(root: Client) -> None:
    root.auth.roles.create("gone")
    root.auth.users.create("amy", "pw", roles=["gone"])
    root.auth.roles.delete("gone")
    with pytest.raises(NotFound, match="gone"):
        root.auth.users.get("amy")
    assert [user.roles for user in root.auth.users.list() if user.user == "amy"] == [()]


def test_root_is_protected_by_status_403(root: Client) -> None:
    for forbidden in (root.auth.users.delete, root.auth.roles.delete):
        with pytest.raises(ApiError) as caught:
            forbidden("root")
        assert (type(caught.value), caught.value.status) == (ApiError, 403)


def test_authentication_is_turned_on_and_off(connect: Connect, etcd_binary: Path) -> None:
    with Server(etcd_binary, fsync=False) as server:
        client = connect(server.url)
        assert not client.auth.enabled()
        assert client.auth.users.list() == ()
        with pytest.raises(Conflict, match="root"):
            client.auth.enable()
        with pytest.raises(Conflict):
            client.auth.disable()
        client.auth.users.create("root", ROOT)
        client.auth.enable()
        assert client.auth.enabled()
        with pytest.raises(Unauthorized):
            client.auth.disable()
        client.set_credentials("root", ROOT)
        with pytest.raises(Conflict):
            client.auth.enable()
        client.auth.disable()
        assert not client.auth.enabled()


# --- rights ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def amy(at_guarded: Connect, root: Client) -> Client:
    """May read and write /app/*, and read /exact."""
    root.auth.roles.create("app", read=["/app/*", "/exact"], write="/app/*")
    root.auth.users.create("amy", "amys-secret", roles=["app"])
    guest = at_guarded()
    for key in ("/app/a", "/exact", "/other"):
        guest.keys.set(key, "1")
    return at_guarded(username="amy", password="amys-secret")


def test_restricted_user_does_what_its_patterns_say(amy: Client) -> None:
    assert (amy.keys.get("/app/a")).value == "1"
    amy.keys.set("/app/b", "2")
    amy.keys.at("/app").modify("b", lambda value: value + "!")
    assert (amy.keys.get("/exact")).value == "1"
    for forbidden in (amy.keys.get, amy.keys.delete):
        with pytest.raises(Unauthorized) as caught:
            forbidden("/other")
        error = caught.value
        assert (error.code, error.status, error.index, error.cause) == (110, 401, 0, "Insufficient credentials")
    with pytest.raises(Unauthorized):
        amy.keys.set("/exact", "2")
    with pytest.raises(Unauthorized):
        amy.keys.get("/none", default=None)


def test_trailing_slash_is_seen_by_role_patterns(amy: Client) -> None:
    listed = amy.keys.get("/app/")
    assert [node.key for node in listed.node.children] == ["/app/a"]
    assert (amy.keys.get("/app/", recursive=True)).node.key == "/app"
    with pytest.raises(Unauthorized):
        amy.keys.get("/app")
    with pytest.raises(Unauthorized):
        amy.keys.get("/exact/")


def test_restricted_user_manages_nothing(amy: Client) -> None:
    with pytest.raises(Unauthorized) as caught:
        amy.auth.users.get("amy")
    assert (caught.value.status, caught.value.code) == (401, 0)
    with pytest.raises(Unauthorized):
        amy.auth.roles.list()
    with pytest.raises(Unauthorized):
        amy.members.add("http://127.0.0.1:1")
    assert len(amy.members.list()) == 1
    assert amy.auth.enabled()
    assert (amy.stats.store()).gets_success > 0
    assert (amy.health()).healthy


def test_restricted_user_watches_what_it_may_read(amy: Client, root: Client) -> None:
    with amy.keys.watch("/app/", recursive=True) as tree, amy.keys.watch("/exact") as exact:
        root.keys.set("/app/b", "2")
        root.keys.set("/exact", "2")
        seen = [tree.next(timeout=SOON), exact.next(timeout=SOON)]
    assert [event and (event.key, event.value) for event in seen] == [("/app/b", "2"), ("/exact", "2")]
    with pytest.raises(Unauthorized):
        with amy.keys.watch("/other"):
            pass


def test_wrong_password_and_unknown_user_are_refused(at_guarded: Connect, amy: Client) -> None:
    for name, password in (("amy", "wrong"), ("nobody", "pw"), ("amy", ""), ("root", "x")):
        client = at_guarded(username=name, password=password)
        with pytest.raises(Unauthorized):
            client.keys.get("/app/a")
        with pytest.raises(Unauthorized):
            client.keys.set("/app/a", "2")
        with pytest.raises(Unauthorized):
            with client.keys.watch("/app/a"):
                pass


def test_without_credentials_a_client_is_the_guest(at_guarded: Connect, root: Client) -> None:
    guest = at_guarded()
    guest.keys.set("/g", "1")
    root.auth.roles.revoke("guest", write="/*")
    try:
        assert (guest.keys.get("/g")).value == "1"
        with pytest.raises(Unauthorized):
            guest.keys.set("/g", "2")
        with pytest.raises(Unauthorized):
            guest.auth.users.list()
    finally:
        root.auth.roles.grant("guest", write="/*")


def test_credentials_change_at_run_time(amy: Client, root: Client) -> None:
    root.auth.users.change_password("amy", "new-secret")
    with pytest.raises(Unauthorized):
        amy.keys.get("/app/a")
    amy.set_credentials("amy", "new-secret")
    assert (amy.keys.get("/app/a")).value == "1"
    amy.set_credentials("root", ROOT)
    assert len(amy.auth.users.list()) == 2
    amy.set_credentials(None)
    with pytest.raises(Unauthorized):
        amy.auth.users.list()


def test_password_of_72_bytes_logs_in(at_guarded: Connect, root: Client) -> None:
    password = "\u00e9" * 36
    root.auth.roles.create("all", read="*", write="*")
    root.auth.users.create("m\u00fcller x", password, roles=["all"])
    client = at_guarded(username="m\u00fcller x", password=password)
    client.keys.set("/any", "1")


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_password_is_logged(at_guarded: Connect, root: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    root.auth.users.create("amy", "amys-secret")
    root.auth.users.change_password("amy", "other-secret")
    client = at_guarded("https://127.0.0.1:1", username="amy", password="wrong-secret")
    with pytest.raises(Unauthorized) as caught:
        client.keys.get("/a")
    shown = caplog.text + repr(client) + str(client) + repr(caught.value) + str(caught.value)
    shown += repr(client.keys) + repr(client.auth) + pickle.dumps(caught.value).decode("latin-1")
    for secret in ("amys-secret", "other-secret", "wrong-secret", ROOT, "Basic "):
        assert secret not in shown
