"""The client as a whole: construction, its repr, hooks, logging, secrets, the order of things at its end."""

from __future__ import annotations

import json
import logging
import pickle
import time
from typing import Any

import httpx
import pytest

from etcdv2 import (
    TLS,
    AsyncClient,
    AttemptInfo,
    ClusterUnavailable,
    DeadlineExceeded,
    KeyExists,
    OutcomeUnknown,
    Timeout,
    UnexpectedAnswer,
)
from etcdv2.testing import Server
from etcdv2_api import operations
from tests.facade._async.conftest import Connect
from tests.tools.recording import Answer, Noted, Recorder, usual_answer
from tests.tools.waiting import SOON, async_until

SECRET = "hunter2-is-secret"


def down(noted: Noted) -> Answer:
    raise httpx.ConnectError("nobody listens")


def lost(noted: Noted) -> Answer:
    raise httpx.ReadError("connection lost")


# --- construction ----------------------------------------------------------------------------------------------------


async def test_client_without_arguments_is_for_the_local_server() -> None:
    async with AsyncClient() as client:
        assert client.endpoints == ("http://127.0.0.1:2379",)


@pytest.mark.parametrize(
    ("given", "endpoints"),
    [
        ("http://a:1", {"http://a:1"}),
        ("a", {"http://a:2379"}),
        ("a:4001", {"http://a:4001"}),
        ("https://a", {"https://a:443"}),
        ("http://a/", {"http://a:80"}),
        (["http://a:1", "b:2", "http://a:1/"], {"http://a:1", "http://b:2"}),
        (frozenset(["a:1"]), {"http://a:1"}),
        (("http://a:1/prefix/",), {"http://a:1/prefix"}),
        ("HTTP://A.Example:1", {"http://a.example:1"}),
        ("http://b\u00fccher.example:1", {"http://xn--bcher-kva.example:1"}),
    ],
)
async def test_endpoints_may_be_written_in_several_ways(connect: Connect, given: Any, endpoints: set[str]) -> None:
    client = connect(given)
    assert set(client.endpoints) == endpoints
    assert len(client.endpoints) == len(endpoints)


async def test_first_endpoint_is_random(connect: Connect) -> None:
    urls = [f"http://h{n}:1" for n in range(4)]
    used = set()
    for _ in range(60):
        recorder = Recorder()
        await connect(urls, transport=recorder).keys.get("/a")
        used.add(recorder.only.url)
    assert used == set(urls)


async def test_client_stays_with_the_endpoint_that_answers(connect: Connect) -> None:
    recorder = Recorder(lambda noted: down(noted) if noted.url == "http://a:1" else usual_answer(noted))
    client = connect(["http://a:1", "http://b:1"], transport=recorder)
    for _ in range(5):
        await client.keys.get("/a")
    assert [noted.url for noted in recorder.noted][-4:] == ["http://b:1"] * 4
    assert len(recorder.noted) <= 6


async def test_client_is_configured_by_the_variables_of_etcdctl(etcd: Server) -> None:
    variables = {"ETCDCTL_ENDPOINTS": f"{etcd.url},", "ETCDCTL_USERNAME": "u:pw", "ETCDCTL_TOTAL_TIMEOUT": "5s"}
    async with AsyncClient.from_env(variables) as client:
        assert client.endpoints == (etcd.url,)
        assert (await client.keys.set("/a", "1")).value == "1"


async def test_constructing_a_client_sends_nothing(connect: Connect) -> None:
    recorder = Recorder()
    client = connect("http://a:1", transport=recorder, username="u", password="p", prefer_leader=True)
    client.keys.at("/app").watch("a", recursive=True)
    client.set_credentials("v", "p")
    await client.close()
    assert recorder.noted == []


async def test_proxy_is_used_where_it_is_given(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, proxy="http://127.0.0.1:1", timeout=1)
    with pytest.raises(ClusterUnavailable):
        await client.keys.get("/a")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"repeat_writes": "no"}, "repeat_writes 'no': must be True or False"),
        ({"prefer_leader": 1}, "prefer_leader 1: must be True or False"),
        ({"trust_env": None}, "trust_env None: must be True or False"),
        ({"before_attempt": "x"}, "before_attempt 'x': must be a function"),
        ({"max_connections": "5"}, "max_connections '5': must be an int"),
        ({"max_connections": True}, "max_connections True: must be an int"),
        ({"proxy": 3128}, "proxy=: a int; must be a str"),
        ({"endpoints": None}, "endpoints: None is no list; give one"),
        ({"endpoints": b"http://a:1"}, "endpoints: .* is no list; give one"),
    ],
)
async def test_setting_of_a_wrong_type_is_refused_by_its_name(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(TypeError, match=f"^{why}"):
        AsyncClient(**settings)


async def test_several_endpoints_in_one_text_are_refused_with_what_to_give() -> None:
    with pytest.raises(ValueError, match=r"endpoint 'a,b': holds several; give a list, like \['http"):
        AsyncClient("a,b")


async def test_unwritable_log_of_tls_keys_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys.log")
    with pytest.raises(ValueError, match=r"^SSLKEYLOGFILE '/nowhere/keys.log': cannot be written"):
        AsyncClient("https://a:1")


# --- what it shows ---------------------------------------------------------------------------------------------------


async def test_repr_names_endpoints_and_keys_but_no_secret(connect: Connect) -> None:
    client = connect(["https://a:1"], username="root", password=SECRET, tls=TLS(key_password=None))
    assert "https://a:1" in repr(client)
    assert "Client of" in repr(client)
    assert repr(client.keys.at("/app")).endswith("at /app>")
    assert "https://a:1 (well)>, <ClusterView of no cluster yet" in repr(client._dispatcher)
    assert repr(client._dispatcher).endswith("0 watches>")
    for shown in (repr(client), str(client), repr(client.keys), repr(client.auth), repr(vars(client))):
        assert SECRET not in shown


async def test_secrets_are_in_no_repr_of_settings() -> None:
    tls = TLS(cert_file="c", key_file="k", key_password=SECRET)
    assert SECRET not in repr(tls) + str(tls)
    call = operations.put_user("u", _user(SECRET))
    assert SECRET not in repr(call) + str(call)
    assert "***" in repr(call)


def _user(password: str) -> Any:
    from etcdv2_api import UserChange

    return UserChange(user="u", password=password)


async def test_unknown_outcome_of_a_password_change_keeps_the_password_secret(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    infos: list[AttemptInfo] = []

    def answer(noted: Noted) -> Answer:
        return lost(noted) if noted.method == "PUT" else usual_answer(noted)

    recorder = Recorder(answer)
    client = connect(
        "http://a:1",
        transport=recorder,
        username="root",
        password=f"root-{SECRET}",
        before_attempt=infos.append,
        after_attempt=infos.append,
    )
    with pytest.raises(OutcomeUnknown) as caught:
        await client.auth.users.create("new", SECRET)
    error = caught.value
    assert SECRET.encode() in recorder.noted[-1].body
    shown = [repr(error), str(error), repr(error.call), str(vars(error)), caplog.text, repr(infos)]
    shown += [pickle.dumps(error).decode("latin-1"), repr(error.attempts)]
    for text in shown:
        assert SECRET not in text
        assert "Basic " not in text
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.endpoint) == (type(error), str(error), "http://a:1")


async def test_logging_names_an_endpoint_that_fails_once_and_its_return(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="etcdv2")
    recorder = Recorder(down)
    client = connect("http://a:1", transport=recorder, timeout=2)
    with pytest.raises(ClusterUnavailable):
        await client.keys.get("/a")
    recorder.answer = usual_answer
    await client.keys.get("/a")
    await client.keys.get("/a")
    lines = [record.getMessage() for record in caplog.records if record.name == "etcdv2"]
    assert len(lines) == 2
    assert "http://a:1" in lines[0]
    assert "nobody listens" in lines[0]
    assert "again" in lines[1]


async def test_calls_that_go_well_log_nothing_above_debug(
    connect: Connect, etcd: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="etcdv2")
    client = connect(etcd.url)
    await client.keys.set("/a", "1")
    async with client.keys.watch("/a"):
        pass
    with pytest.raises(KeyExists):
        await client.keys.create("/a", "2")
    assert [record for record in caplog.records if record.name == "etcdv2"] == []


# --- hooks -----------------------------------------------------------------------------------------------------------


async def test_hooks_see_each_attempt_with_its_end(connect: Connect) -> None:
    before: list[AttemptInfo] = []
    after: list[AttemptInfo] = []
    recorder = Recorder(lambda noted: down(noted) if len(recorder.noted) == 1 else usual_answer(noted))
    client = connect(
        ["http://a:1", "http://b:1"], transport=recorder, before_attempt=before.append, after_attempt=after.append
    )
    await client.keys.get("/a b", recursive=True)
    urls = [noted.url for noted in recorder.noted]
    assert len(set(urls)) == 2
    for infos in (before, after):
        assert [(one.operation, one.method, one.path) for one in infos] == [("get_key", "GET", "/v2/keys/a%20b")] * 2
        assert [(one.endpoint, one.number) for one in infos] == [(urls[0], 1), (urls[1], 2)]
    assert [(one.status, one.elapsed, one.error) for one in before] == [(None, 0.0, None)] * 2
    assert (after[0].status, after[1].status, after[1].error) == (None, 200, None)
    assert after[0].error is not None
    assert "nobody listens" in after[0].error
    assert all(one.elapsed > 0 for one in after)


async def test_hooks_get_the_status_of_a_refusal(connect: Connect, etcd: Server) -> None:
    after: list[AttemptInfo] = []
    client = connect(etcd.url, after_attempt=after.append)
    await client.keys.create("/a", "1")
    with pytest.raises(KeyExists):
        await client.keys.create("/a", "1")
    assert [(one.operation, one.number, one.status) for one in after] == [("put_key", 1, 201), ("put_key", 1, 412)]
    assert all(one.endpoint == etcd.url for one in after)


async def test_hooks_see_the_polls_of_a_watch(connect: Connect, etcd: Server) -> None:
    infos: list[AttemptInfo] = []
    client = connect(etcd.url, after_attempt=infos.append)
    async with client.keys.watch("/a"):
        pass
    polls = [one for one in infos if one.operation == "watch"]
    assert [(one.method, one.path, one.status) for one in polls] == [("GET", "/v2/keys/a", 200)]


async def test_both_hooks_are_called_for_each_attempt(connect: Connect, etcd: Server) -> None:
    before: list[AttemptInfo] = []
    after: list[AttemptInfo] = []
    client = connect([etcd.url, "http://127.0.0.1:1"], before_attempt=before.append, after_attempt=after.append)
    await client.health()
    await client.sync()
    await client.keys.set("/a", "1")
    async with client.keys.mirror("/a"):
        pass
    assert len(before) > 5
    # A probe of the index monitor may be under way yet.
    await async_until(
        lambda: sorted(one[:5] for one in before) == sorted(one[:5] for one in after), lambda: (before, after)
    )


async def test_hook_that_raises_does_not_hide_the_outcome(
    connect: Connect, etcd: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(info: AttemptInfo) -> None:
        raise RuntimeError(f"hook at {info.number}")

    client = connect(etcd.url, before_attempt=broken, after_attempt=broken)
    assert (await client.keys.set("/a", "1")).value == "1"
    async with client.keys.watch("/a") as watcher:
        await client.keys.set("/a", "2")
        event = await watcher.next(timeout=SOON)
    assert event is not None
    assert "hook at 1" in caplog.text


# --- time and errors -------------------------------------------------------------------------------------------------


async def test_error_names_every_attempt(connect: Connect) -> None:
    client = connect(["http://a:1", "http://b:1"], transport=Recorder(down))
    with pytest.raises(ClusterUnavailable) as caught:
        await client.keys.get("/a")
    attempts = caught.value.attempts
    assert sorted(attempt.endpoint for attempt in attempts) == ["http://a:1"] * 2 + ["http://b:1"] * 2
    assert {(attempt.phase, attempt.cause, attempt.status) for attempt in attempts} == {
        ("connect", "nobody listens", None)
    }
    for part in ("http://a:1", "http://b:1", "nobody listens", "4 attempts"):
        assert part in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.attempts) == (str(caught.value), attempts)


async def test_lost_answer_of_a_write_is_unknown_and_of_a_read_is_asked_again(connect: Connect) -> None:
    recorder = Recorder(lambda noted: lost(noted) if len(recorder.noted) == 1 else usual_answer(noted))
    client = connect("http://a:1", transport=recorder)
    with pytest.raises(OutcomeUnknown, match="repeat_writes=True") as caught:
        await client.keys.set("/a", "1")
    assert (caught.value.call.method, caught.value.call.path, len(recorder.noted)) == ("PUT", "/v2/keys/a", 1)
    recorder.noted.clear()
    assert (await client.keys.get("/a")).value == "v"
    assert len(recorder.noted) == 2


@pytest.mark.parametrize("where", ["client", "call"])
async def test_repeat_writes_sends_a_lost_write_again(connect: Connect, where: str) -> None:
    recorder = Recorder(lambda noted: lost(noted) if len(recorder.noted) % 2 else usual_answer(noted))
    # Two endpoints, so that no second round has to be waited for.
    client = connect(["http://a:1", "http://b:1"], transport=recorder, repeat_writes=where == "client")
    chosen: dict[str, Any] = {"repeat_writes": True} if where == "call" else {}
    keys = client.keys
    await keys.set("/a", "1", **chosen)
    await keys.create("/a", "1", **chosen)
    await keys.update("/a", "1", **chosen)
    await keys.create_in_order("/a", "1", **chosen)
    await keys.delete("/a", **chosen)
    await keys.refresh("/a", 5, **chosen)
    await keys.make_dir("/a", **chosen)
    await client.send(operations.put_key("/a"), **chosen)
    assert [method for method, _ in recorder.lines] == [
        method for method in ("PUT", "PUT", "PUT", "POST", "DELETE", "PUT", "PUT", "PUT") for _ in range(2)
    ]


async def test_repeat_writes_of_a_call_wins_over_the_clients(connect: Connect) -> None:
    client = connect("http://a:1", transport=Recorder(lost), repeat_writes=True)
    with pytest.raises(OutcomeUnknown):
        await client.keys.set("/a", "1", repeat_writes=False)


async def test_timeout_of_a_call_wins_over_the_clients(connect: Connect) -> None:
    leaderless = {"errorCode": 300, "message": "Raft Internal Error", "cause": "no leader", "index": 0}
    client = connect("http://a:1", transport=Recorder(lambda _: (500, leaderless)), timeout=60)
    for timeout in (0.2, Timeout(total=0.2)):
        with pytest.raises(DeadlineExceeded, match="no leader") as caught:
            await client.keys.get("/a", quorum=True, timeout=timeout)
        assert isinstance(caught.value, TimeoutError)


async def test_paused_server_ends_a_read_and_a_write_in_time(connect: Connect, etcd: Server) -> None:
    client = connect(etcd.url, timeout=Timeout(connect=0.3, attempt=0.3, commit=0.3, total=0.8))
    await client.keys.set("/a", "1")
    etcd.pause()
    try:
        began = time.monotonic()
        with pytest.raises(ClusterUnavailable):  # DeadlineExceeded, unless the pause would last until then
            await client.keys.get("/a")
        assert time.monotonic() - began < 2
        with pytest.raises(OutcomeUnknown) as caught:
            await client.keys.set("/a", "2")
        assert isinstance(caught.value, TimeoutError)
    finally:
        etcd.resume()
    assert (await client.keys.get("/a", timeout=5)).node.key == "/a"


# --- odd answers -----------------------------------------------------------------------------------------------------


async def test_redirect_is_not_followed(connect: Connect) -> None:
    recorder = Recorder(lambda _: (301, b"<a href='/v2/keys/b'>Moved Permanently</a>"))
    client = connect("http://a:1", transport=recorder)
    with pytest.raises(UnexpectedAnswer) as caught:
        await client.keys.set("/a", "1")
    assert (caught.value.status, len(recorder.noted)) == (301, 1)


async def test_tree_of_150_levels_is_read(connect: Connect) -> None:
    key = "/x" * 150
    node: dict[str, Any] = {"key": key, "value": "here", "modifiedIndex": 7, "createdIndex": 7}
    for level in range(149, 0, -1):
        node = {"key": "/x" * level, "dir": True, "nodes": [node], "modifiedIndex": 7, "createdIndex": 7}
    body = json.dumps({"action": "get", "node": node}).encode()
    client = connect("http://a:1", transport=Recorder(lambda _: (200, body)))
    tree = await client.keys.get("/x", recursive=True)
    assert [(leaf.key, leaf.value) for leaf in tree.leaves()] == [(key, "here")]


async def test_machines_are_taken_apart(connect: Connect) -> None:
    recorder = Recorder(lambda noted: (200, b"") if noted.headers["user-agent"] == "none" else usual_answer(noted))
    client = connect("http://a:1", transport=recorder)
    assert await client.machines() == ("http://c:2379", "http://d:2379")
    nobody = connect("http://a:1", transport=recorder, user_agent="none")
    assert await nobody.machines() == ()
