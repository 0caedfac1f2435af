"""`make_dir(exist_ok=True)` whose answer is lost: the directory is there in the end, and that is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from etcdv2 import AsyncClient, AttemptInfo, ClusterUnavailable, KeyExists, NotDir, OutcomeUnknown, Timeout
from etcdv2.testing import Server
from tests.chaos.links import Link
from tests.facade._async.conftest import Connect

Lossy = Callable[..., AsyncClient]
TIMES = Timeout(attempt=2, commit=1, total=60)


@pytest.fixture
async def link(etcd: Server) -> AsyncIterator[Link]:
    with Link(etcd.port) as link:
        yield link


@pytest.fixture
async def lossy(connect: Connect, link: Link) -> Lossy:
    """Makes a client behind the link, which loses what is said, until a write was tried `times` times."""

    def make(what: str, times: int = 1, timeout: Timeout = TIMES) -> AsyncClient:
        def note(info: AttemptInfo) -> None:
            nonlocal times
            if info.method == "PUT":
                times -= 1
                if not times:
                    link.mend()

        setattr(link, f"lose_{what}", True)
        return connect(link.endpoint.url, timeout=timeout, after_attempt=note)

    return make


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("what", ["answers", "requests"])
async def test_directory_is_made_once_and_returned(lossy: Lossy, client: AsyncClient, what: str, repeat: bool) -> None:
    index = (await client.keys.set("/before", "")).index
    made = await lossy(what, 2).keys.make_dir("/d", ttl=100, exist_ok=True, repeat_writes=repeat)
    assert (made.node.key, made.node.dir, made.node.created_index) == ("/d", True, index + 1)
    assert made.node.ttl is not None
    assert (await client.keys.get("/d")).node.created_index == index + 1


@pytest.mark.parametrize("what", ["answers", "requests"])
async def test_what_stands_in_the_way_is_said_all_the_same(lossy: Lossy, client: AsyncClient, what: str) -> None:
    await client.keys.set("/file", "precious")
    with pytest.raises(KeyExists):
        await lossy(what).keys.make_dir("/file", exist_ok=True)
    with pytest.raises(NotDir):
        await lossy(what).keys.make_dir("/file/below", exist_ok=True)
    assert (await client.keys.get("/file")).value == "precious"


async def test_directory_that_was_there_is_returned_as_it_is(lossy: Lossy, client: AsyncClient) -> None:
    made = await client.keys.make_dir("/d", ttl=100)
    found = await lossy("answers").keys.make_dir("/d", exist_ok=True)
    assert (found.node.created_index, found.node.ttl is not None) == (made.index, True)


async def test_without_exist_ok_a_lost_answer_is_an_unknown_outcome(lossy: Lossy) -> None:
    with pytest.raises(OutcomeUnknown):
        await lossy("answers").keys.make_dir("/d")


@pytest.mark.parametrize("total", [2.5, None])
async def test_what_stays_lost_is_unknown_in_the_end(
    lossy: Lossy, monkeypatch: pytest.MonkeyPatch, total: float | None
) -> None:
    for face in ("_async", "_sync"):
        monkeypatch.setattr(f"etcdv2.{face}.make_dir.TRIES_WITHOUT_TOTAL", 2)
    client = lossy("requests", 1000, Timeout(commit=0.5, total=total))
    with pytest.raises(OutcomeUnknown) as caught:
        await client.keys.make_dir("/d", exist_ok=True)
    assert caught.value.call.path == "/v2/keys/d"


async def test_server_that_dies_after_the_loss_leaves_it_unknown(connect: Connect, etcd: Server, link: Link) -> None:
    def note(info: AttemptInfo) -> None:
        if info.method == "PUT":
            etcd.kill()

    link.lose_answers = True
    client = connect(link.endpoint.url, timeout=Timeout(commit=0.5, total=2), after_attempt=note)
    with pytest.raises(OutcomeUnknown) as caught:
        await client.keys.make_dir("/d", exist_ok=True)
    assert isinstance(caught.value.__cause__, ClusterUnavailable)
