"""Passwords and tokens are in no log, error, traceback, repr or pickle, whatever ends a call."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import etcdv2
from etcdv2 import TLS, AsyncClient, AttemptInfo, Client, EtcdError, Timeout
from etcdv2._core.wire import Request
from etcdv2.testing import Server
from etcdv2_api import UserChange, operations
from tests.tools.certificates import Authority, Pair, encrypted
from tests.tools.faces import over
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer, answer_bytes, close, raw, stall
from tests.tools.leaks import (
    CLUSTER,
    CREDENTIALS,
    EVERY_KIND,
    MARK,
    NEW_PASSWORD,
    NO_USERS,
    PACKAGES,
    PASSWORD,
    TOKEN,
    Kind,
    Work,
    chain,
    leaks,
    records,
    variables,
    views,
)
from tests.tools.waiting import SOON

pytestmark = pytest.mark.usefixtures("second_round_at_once")

AMY = answer(200, CLUSTER, b'{"users": [{"user": "amy", "roles": []}]}')

# --- the scan itself -------------------------------------------------------------------------------------------------


class Careless(etcdv2.ClusterUnavailable):
    """What the scan must catch."""


def careless(part: str) -> BaseException:
    error = Careless("nobody")
    if part == "text":
        return Careless(f"nobody takes {PASSWORD}")
    if part == "attribute":
        error.tried = {"Authorization": f"Basic {TOKEN}"}  # type: ignore[attr-defined]
    elif part == "note":
        error.add_note(f"while sending {PASSWORD}")
    elif part == "cause":
        error.__cause__ = ValueError(PASSWORD)
    elif part == "context":
        error.__context__ = ValueError(TOKEN)
    return error


@pytest.mark.parametrize("part", ["text", "attribute", "note", "cause", "context"])
def test_scan_finds_what_a_careless_error_shows(part: str) -> None:
    assert leaks(views(careless(part)))
    assert not leaks(views(careless("none")))


def test_scan_finds_a_variable_that_shows_a_secret() -> None:
    def careless_call(request: object) -> None:
        raise Careless(type(request).__name__)

    code = careless_call.__code__.replace(co_filename=f"{PACKAGES[0]}/_careless.py")
    careless_call.__code__ = code
    with pytest.raises(Careless) as caught:
        careless_call({"Authorization": TOKEN})
    assert [where.rpartition(" ")[2] for where in leaks(variables(caught.value))] == ["request"]


def test_scan_finds_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    logging.getLogger("httpcore").debug("sent %r", [("Authorization", f"Basic {TOKEN}")])
    assert leaks(records(caplog))


# --- every way a call can end ----------------------------------------------------------------------------------------


def create(client: Any) -> Any:
    return client.auth.users.create("amy", NEW_PASSWORD)


def change(client: Any) -> Any:
    return client.auth.users.change_password("amy", NEW_PASSWORD)


def says(status: int, **body: object) -> Behaviour:
    return answer(status, CLUSTER, json.dumps(body).encode())


class Ending(NamedTuple):
    error: type[EtcdError]
    work: Work
    script: tuple[Behaviour, ...]


ENDINGS = {
    "create, answer lost": Ending(etcdv2.OutcomeUnknown, create, (NO_USERS, close())),
    "create, silence": Ending(etcdv2.OutcomeUnknownTimeout, create, (NO_USERS, stall())),
    "create, half an answer": Ending(
        etcdv2.OutcomeUnknown, create, (NO_USERS, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", close=True))
    ),
    "create, no leader": Ending(etcdv2.OutcomeUnknown, create, (NO_USERS, says(500, message="no leader"))),
    "create, not JSON": Ending(etcdv2.OutcomeUnknown, create, (NO_USERS, answer(200, CLUSTER, b"<html>"))),
    "create, not wanted": Ending(etcdv2.BadRequest, create, (NO_USERS, says(400, message="no"))),
    "create, a proxy's page": Ending(etcdv2.UnexpectedAnswer, create, (NO_USERS, answer(405, None, b"<html>"))),
    "create, there already": Ending(etcdv2.Conflict, create, (AMY,)),
    "change, answer lost": Ending(etcdv2.OutcomeUnknown, change, (AMY, close())),
    "change, no rights": Ending(etcdv2.Unauthorized, change, (AMY, says(401, message="Insufficient credentials"))),
    "change, another cluster": Ending(
        etcdv2.ClusterChanged,
        change,
        (AMY, answer(200, {**CLUSTER, "X-Etcd-Cluster-Id": "bb"}, b'{"user": "amy", "roles": null}')),
    ),
    "change, nobody there": Ending(etcdv2.NotFound, change, (NO_USERS,)),
    "read, answers lost": Ending(etcdv2.ClusterUnavailable, lambda c: c.keys.get("/a"), (close(),) * 2),
    "read, silence": Ending(etcdv2.DeadlineExceeded, lambda c: c.keys.get("/a", timeout=0.3), (stall(),) * 2),
    "read, garbage": Ending(etcdv2.ClusterUnavailable, lambda c: c.keys.get("/a"), (raw(b"\0" * 99, close=True),) * 2),
    "read, no v2": Ending(etcdv2.V2ApiDisabled, lambda c: c.keys.get("/a"), (answer(404, None, b"not found"),) * 9),
}


@EVERY_KIND
@pytest.mark.parametrize("case", ENDINGS)
def test_no_ending_of_a_call_shows_a_password(kind: Kind, case: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    ending = ENDINGS[case]
    infos: list[AttemptInfo] = []

    def broken_hook(info: AttemptInfo) -> None:
        infos.append(info)
        raise RuntimeError("the hook is broken")

    with FaultServer(*ending.script) as server:
        times = Timeout(attempt=0.3, commit=0.3, total=10)
        url = server.endpoint.url
        hooks = {"before_attempt": broken_hook, "after_attempt": broken_hook}
        error = kind.end(url, ending.work, timeout=times, **CREDENTIALS, **hooks)
        assert type(error) is ending.error
        assert all(received.headers["authorization"] == f"Basic {TOKEN}" for received in server.requests)
    assert not leaks(views(error))
    assert infos
    assert not leaks({**records(caplog), "hooks": repr(infos)})


@EVERY_KIND
@pytest.mark.parametrize("case", ["create, answer lost", "create, not wanted", "read, silence", "read, no v2"])
def test_variables_of_a_traceback_show_no_password(kind: Kind, case: str) -> None:
    ending = ENDINGS[case]
    with FaultServer(*ending.script) as server:
        times = Timeout(attempt=0.3, commit=0.3, total=10)
        error = kind.end(server.endpoint.url, ending.work, timeout=times, **CREDENTIALS)
    assert error is not None
    seen = variables(error)
    assert seen
    assert not leaks(seen)


@EVERY_KIND
def test_no_password_is_shown_by_errors_from_a_closed_port(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    with FaultServer() as server:
        port = server.port
    error = kind.end(f"http://127.0.0.1:{port}", create, **CREDENTIALS)
    assert type(error) is etcdv2.ClusterUnavailable
    assert not leaks({**views(error), **records(caplog)})


# --- a server that sends back what it got ----------------------------------------------------------------------------


def echoing(status: int, *, as_message: bool) -> Behaviour:
    """Like a proxy's debugging page: the request's headers and its body, as they came."""

    def act(peer: Peer) -> bool:
        got = peer.received
        assert got is not None
        text = f"{got.headers.get('authorization')} {got.body.decode()}"
        if as_message:
            peer.send(answer_bytes(status, CLUSTER, json.dumps({"message": text}).encode()))
        else:
            peer.send(answer_bytes(status, {"Content-Type": "text/plain"}, text.encode()))
        return True

    return Behaviour(act)


ECHOES = [(200, False), (200, True), (400, True), (400, False), (401, True), (403, True), (502, False), (503, True)]


@EVERY_KIND
@pytest.mark.parametrize(("status", "as_message"), ECHOES)
def test_echoed_credentials_are_masked(
    kind: Kind, status: int, as_message: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    for work, script in ((create, (NO_USERS,)), (lambda c: c.keys.get("/a", timeout=0.5), ())):
        with FaultServer(*script, default=echoing(status, as_message=as_message)) as server:
            error = kind.end(server.endpoint.url, work, **CREDENTIALS)
        assert error is not None
        assert not leaks(views(error))
    assert not leaks(records(caplog))


@EVERY_KIND
def test_name_of_a_member_that_an_answer_should_not_have_is_not_shown(kind: Kind) -> None:
    body = json.dumps({"leader": "1", "followers": {PASSWORD: {"latency": {}}}}).encode()
    with FaultServer(default=answer(200, CLUSTER, body)) as server:
        error = kind.end(server.endpoint.url, lambda c: c.stats.leader(timeout=0.5), **CREDENTIALS)
    assert isinstance(error, etcdv2.UnexpectedAnswer)
    assert error.reason == "not as described: followers.*.latency.current: Field required"
    assert not leaks(views(error))


@pytest.mark.parametrize("status", [200, 400, 502])
@pytest.mark.parametrize("transport", ["fast", "httpx"])
def test_health_shows_no_echoed_credentials(transport: str, status: int) -> None:
    with FaultServer(default=echoing(status, as_message=False)) as server:
        with Client(server.endpoint.url, **CREDENTIALS, **over(transport)) as client:
            health = client.health()
    (one,) = health.endpoints
    assert not one.healthy
    assert "Basic ***" in one.reason
    assert not leaks({"health": repr(health)})


# --- passwords that are words of this library ------------------------------------------------------------------------

UNTOLD = {
    "not as described": (answer(200, CLUSTER, b'{"action": "get", "node": {"key": 1}}'), "not as described: node.key:"),
    "no JSON": (answer(400, CLUSTER, b"<html>"), "not as described: Invalid JSON"),
    "no body": (answer(200, CLUSTER, b""), "the body is empty"),
    "no index": (
        answer(200, {**CLUSTER, "X-Etcd-Index": "x"}, b'{"action": "get", "node": {}}'),
        "X-Etcd-Index, X-Raft",
    ),
    "no v2": (answer(404, None, b"404 page not found"), "the v2 API is not served by"),
    "silence": (stall(), "no usable answer within 0.4 s"),
    "an end": (close(), "no endpoint gave a usable answer"),
}


@EVERY_KIND
@pytest.mark.parametrize("case", UNTOLD)
def test_short_password_does_not_show_by_what_is_hidden(kind: Kind, case: str) -> None:
    behaviour, words = UNTOLD[case]
    texts = set[str]()
    for password in ("described", "e", "body", "answer", "v2", "zq7"):
        with FaultServer(default=behaviour) as server:
            error = kind.end(
                server.endpoint.url, lambda c: c.keys.get("/a", timeout=0.4), username="amy", password=password
            )
            assert error is not None
            own = str(error).partition("; the body begins")[0]  # what follows came from outside
            texts.add(re.sub(r"[0-9.]+ s\)", "", own.replace(server.endpoint.url, "URL")))
    assert any(words in text for text in texts)
    assert not any("***" in text for text in texts), texts


# --- real servers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(etcd_binary: Path) -> Iterator[Server]:
    with Server(etcd_binary, auth=("root", PASSWORD), fsync=False) as server:
        yield server


@pytest.mark.load
@pytest.mark.parametrize("transport", ["fast", "httpx"])
def test_no_password_is_shown_by_a_run_with_failures(
    guarded: Server, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    errors: list[EtcdError] = []

    def fails(kind: type[EtcdError], work: Callable[[], object]) -> None:
        with pytest.raises(kind) as caught:
            work()
        errors.append(caught.value)

    with Client([guarded.url, "http://127.0.0.1:1"], **CREDENTIALS, **over(transport)) as client:
        made = client.auth.users.create("amy", NEW_PASSWORD)
        changed = client.auth.users.change_password("amy", f"{NEW_PASSWORD}!")
        listed = client.auth.users.list()
        shown = {"answers": repr((made, changed, listed))}
        with Client(guarded.url, username="amy", password=NEW_PASSWORD, **over(transport)) as wrong:
            fails(etcdv2.Unauthorized, lambda: wrong.keys.get("/a"))
            fails(etcdv2.Unauthorized, lambda: wrong.keys.watch("/a").next(timeout=SOON))
        fails(etcdv2.Conflict, lambda: client.auth.users.create("amy", NEW_PASSWORD))
        client.auth.users.delete("amy")
        guarded.kill()
        try:
            fails(etcdv2.ClusterUnavailable, lambda: client.auth.users.create("amy", NEW_PASSWORD))
        finally:
            guarded.start()
    assert caplog.records
    assert not leaks({**shown, **records(caplog)})
    for error in errors:
        assert not leaks(views(error))


# --- what shows itself -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A client certificate whose key has a password."""
    return encrypted(Authority(tmp_path_factory.mktemp("locked")).issue("client"), f"{MARK}-of-the-key")


def ours(root: object) -> Iterator[object]:
    """The object and all objects of this library's classes that can be reached from it."""
    seen: set[int] = set()
    ahead = [root]
    while ahead:
        one = ahead.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if type(one).__module__.startswith(("etcdv2.", "etcdv2_api")):
            yield one
            slots = [name for cls in type(one).__mro__ for name in getattr(cls, "__slots__", ())]
            ahead += [getattr(one, name) for name in {*getattr(one, "__dict__", ()), *slots} if hasattr(one, name)]
        if isinstance(one, (tuple, list, set, frozenset)):
            ahead += one
        elif isinstance(one, dict):
            ahead += [*one, *one.values()]


@pytest.mark.parametrize("transport", ["fast", "httpx"])
def test_no_object_of_a_client_shows_a_password(locked: Pair, transport: str) -> None:
    tls = TLS(cert_file=locked.cert_file, key_file=locked.key_file, key_password=f"{MARK}-of-the-key")
    for client_type in (Client, AsyncClient):
        client: Any = client_type("https://127.0.0.1:1", tls=tls, **CREDENTIALS, **over(transport))
        parts = (client, client.keys.at("/app"), client.keys.watch("/a"), client.keys.mirror("/a"), tls, Timeout())
        found = [*ours(parts)]
        assert {"EndpointPool", "TLS", "Timeout"} <= {type(one).__name__ for one in found}
        assert any(type(one).__name__.endswith("Dispatcher") for one in found)
        assert not leaks({type(one).__name__: f"{one!r} {one}" for one in found})
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(client)
        if client_type is Client:
            client.close()
        else:
            asyncio.run(client.close())


def test_requests_and_calls_show_no_password() -> None:
    change_of_user = UserChange(user="amy", password=NEW_PASSWORD)
    call = operations.put_user("amy", change_of_user)
    assert NEW_PASSWORD in str(call.body)
    headers = (("Authorization", f"Basic {TOKEN}"),)
    request = Request(call.method, call.target, headers, call.content_type, call.body or b"")
    shown = {type(one).__name__: f"{one!r} {one} {[one]}" for one in (change_of_user, call, request)}
    masked = call.masked()
    shown["masked"] = f"{tuple(masked)} {masked.json} {masked.body!r}"
    shown["masked pickle"] = pickle.dumps(masked).decode("latin-1")
    assert not leaks(shown)


REFUSED: dict[str, Callable[[], object]] = {
    "password in the user name": lambda: Client("http://a:1", username=f"root:{PASSWORD}", password=""),
    "password without a user": lambda: Client("http://a:1", password=PASSWORD),
    "password with a surrogate": lambda: Client("http://a:1", username="root", password=f"{PASSWORD}\udc80"),
    "password of bytes": lambda: Client("http://a:1", username="root", password=PASSWORD.encode()),  # type: ignore[arg-type]
    "password in the endpoint": lambda: Client(f"http://root:{PASSWORD}@a:1"),
    "password in one of the endpoints": lambda: Client(["http://a:1", f"http://root:{PASSWORD}@a:1"]),
    "TLS as a dict": lambda: Client("https://a:1", tls={"key_password": PASSWORD}),  # type: ignore[arg-type]
    "key password without a key": lambda: TLS(key_password=PASSWORD),
    "key password beside a context": lambda: TLS(context=TLS().build(), key_password=PASSWORD),
    "proxy of an unknown kind": lambda: Client("http://a:1", proxy=f"socks9://u:{PASSWORD}@b:1"),
    "user of the environment": lambda: Client.from_env({"ETCDCTL_USERNAME": f":{PASSWORD}"}),
    "endpoint of the environment": lambda: Client.from_env({"ETCDCTL_ENDPOINTS": f"http://root:{PASSWORD}@a:1"}),
    "new password too long": lambda: Client("http://a:1").auth.users.create("amy", PASSWORD * 9),
    "new password of bytes": lambda: Client("http://a:1").auth.users.create("amy", PASSWORD.encode()),  # type: ignore[arg-type]
    "new password with a surrogate": lambda: Client("http://a:1").auth.users.create("amy", f"{PASSWORD}\udc80"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_setting_is_named_without_its_secret(case: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        REFUSED[case]()
    assert not leaks({"str": str(caught.value), "repr": repr(caught.value), "args": repr(caught.value.args)})
    assert not leaks({"traceback": last_lines(caught.value)})


def last_lines(error: BaseException) -> str:
    """What a traceback prints beside the source lines, which here hold no secret but by accident."""
    return "".join("".join(traceback.format_exception_only(one)) for one in chain(error))
