"""A tree written into a cluster: what is there is never lost silently, and a load can be done again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from etcdv2 import AsyncClient, DeadlineExceeded, NotFile
from etcdv2.testing import Server
from etcdv2.transfer import DumpNode, Loaded, TransferError, Tree, async_load, async_read_tree, compare
from etcdv2.transfer._async.load import async_do_step
from etcdv2.transfer._limit import Limit
from etcdv2.transfer._load import ttl_of
from etcdv2.transfer._plan import Step, below, moved, plan
from etcdv2.transfer._tree import tree_from
from tests.tools.waiting import PATIENT

SECOND = 1_000_000_000
ALWAYS = Limit(None)
NOW = 1_764_158_400 * SECOND


def tree(*found: DumpNode, **about: Any) -> Tree:
    return tree_from(found, **{"index": 7, "made": NOW, "source": {"kind": "http"}, **about})


def keys_of(loaded: Loaded) -> list[str]:
    return sorted(step.key for step in loaded.done)


WANTED = tree(
    DumpNode("/app", None),
    DumpNode("/app/a", "1"),
    DumpNode("/app/empty", None),
    DumpNode("/app/_hid", None),
    DumpNode("/app/_hid/x", "secret"),
    DumpNode("/app/ü ?%#", "é\n"),
    DumpNode("/bin", "\udcff é"),
    DumpNode("/odd\udcff", "x"),
    DumpNode("/_root", "hidden"),
    hidden="all",
)
HIDDEN = ["/app/_hid", "/_root"]


@pytest.fixture
async def client(etcd: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(etcd.url, timeout=PATIENT) as client:
        await client.keys.delete("/_root", missing_ok=True)
        yield client
        await client.raw.send("DELETE", "/v2/keys/odd%FF", query=[("recursive", "true")])  # no listing has its name


async def test_a_loaded_tree_is_equal_and_loading_again_does_nothing(client: AsyncClient) -> None:
    seen: list[tuple[int, int]] = []
    loaded = await async_load(client, WANTED, progress=lambda done, total: seen.append((done, total)))
    assert (loaded.skipped, loaded.raced) == ((), ())
    assert seen == [(number, 9) for number in range(1, 10)]
    there = await async_read_tree(client, hidden=HIDDEN)
    assert [str(one) for one in compare(WANTED, there)] == []

    again = await async_load(client, WANTED, if_="changed")
    assert (again.done, again.raced) == ((), ())
    assert (await async_read_tree(client)).index == there.index


async def test_what_is_there_is_overwritten_only_where_that_is_asked_for(client: AsyncClient) -> None:
    await client.keys.set("/app/a", "mine")
    await client.keys.set("/app/empty", "a file")
    await async_load(client, WANTED)
    assert (await client.keys.get("/app/a")).value == "mine"

    changed = await async_load(client, WANTED, if_="changed")
    assert keys_of(changed) == ["/app/a"]
    assert ("/app/empty", "exists") in [(one.key, one.reason) for one in changed.skipped]
    assert (await client.keys.get("/app/a")).value == "1"
    assert (await client.keys.get("/app/empty")).value == "a file"

    await async_load(client, WANTED, if_="always")
    assert [str(one) for one in compare(WANTED, await async_read_tree(client, hidden=HIDDEN))] == []


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(client: AsyncClient) -> None:
    before = (await async_read_tree(client)).index
    would = await async_load(client, WANTED, dry_run=True)
    assert (await async_read_tree(client)).index == before
    assert keys_of(would) == keys_of(await async_load(client, WANTED))


async def test_what_is_not_wanted_is_pruned(client: AsyncClient) -> None:
    for key in ("/app/old/x/y", "/app/old/z", "/app/a", "/other"):
        await client.keys.set(key, "old")
    below = tree(DumpNode("/app/a", "1"), root="/app")
    pruned = await async_load(client, below, if_="changed", prune=True)
    assert [str(step) for step in pruned.done] == ["set /app/a", "delete-dir /app/old"]
    assert (await client.keys.get("/other")).value == "old"


async def test_a_tree_can_be_loaded_below_another_root(client: AsyncClient) -> None:
    below = tree(DumpNode("/app/a", "1"), DumpNode("/app/d/b", "2"), DumpNode("/app/d", None), root="/app")
    await async_load(client, below, root="/copy/of")
    assert list(compare(below, await async_read_tree(client, "/copy/of"))) == []
    with pytest.raises(TransferError, match="not below"):
        await async_load(client, tree(DumpNode("/elsewhere", "1"), root="/app"), root="/copy")


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_load_that_was_interrupted_goes_on_where_it_was(
    etcd: Server, client: AsyncClient, concurrency: int
) -> None:
    many = tree(*(DumpNode(f"/many/{number:03d}", str(number)) for number in range(100)))

    def interrupt(done: int, total: int) -> None:
        assert total == 100
        if done > 40:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await async_load(client, many, concurrency=concurrency, progress=interrupt)
    there = len(await async_read_tree(client, "/many"))
    assert 0 < there < 100

    rest = await async_load(client, many, if_="changed", concurrency=concurrency)
    assert len(rest.done) == 100 - there
    assert list(compare(many, await async_read_tree(client))) == [
        one for one in compare(many, await async_read_tree(client)) if one.kind == "+"
    ]


async def test_somebody_who_was_faster_is_left_as_he_is(client: AsyncClient) -> None:
    index = (await client.keys.set("/a", "his")).index
    assert not await async_do_step(client, Step("set", "/a", "mine"), ALWAYS)
    assert not await async_do_step(client, Step("set", "/a", "mine", prev_index=index - 1), ALWAYS)
    assert not await async_do_step(client, Step("delete", "/a", prev_index=index - 1), ALWAYS)
    assert (await client.keys.get("/a")).value == "his"
    assert not await async_do_step(client, Step("set", "/a", "\udcff"), ALWAYS)
    assert not await async_do_step(client, Step("set", "/a", "\udcff", prev_index=index - 1), ALWAYS)
    assert await async_do_step(client, Step("delete", "/a", prev_index=index), ALWAYS)
    assert await async_do_step(client, Step("set", "/a", "\udcff", 1000), ALWAYS)
    made = (await client.keys.get("/a")).node
    assert (made.value, made.ttl is not None) == ("\ufffd", True)
    assert await async_do_step(client, Step("set", "/a", "\udcfe", prev_index=made.modified_index), ALWAYS)
    assert await async_do_step(client, Step("set", "/a", "\udcff", unconditional=True), ALWAYS)
    assert await async_do_step(client, Step("delete", "/a"), ALWAYS)
    await client.keys.make_dir("/a")
    with pytest.raises(NotFile):
        await async_do_step(client, Step("set", "/a", "\udcff", unconditional=True), ALWAYS)
    await client.keys.remove_dir("/a")
    assert not await async_do_step(client, Step("set", "/a", "mine", prev_index=index), ALWAYS)


async def test_times_to_live(client: AsyncClient) -> None:
    kept = tree(
        DumpNode("/long", "x", expires_at=NOW + 500 * SECOND),
        DumpNode("/over", "x", expires_at=NOW + 10 * SECOND),
        DumpNode("/d", None, expires_at=NOW + 10 * SECOND),
        DumpNode("/d/x", "x"),
    )
    nothing = tree()

    def steps(ttl: Any, now: int) -> dict[str, int | None]:
        return {one.key: one.ttl for one in plan(kept, nothing, if_="absent", ttl=ttl, prune=False, now=now).steps}

    later = NOW + 100 * SECOND
    assert steps("remaining", later) == {"/long": 400}
    assert steps("original", later) == {"/long": 500, "/over": 10, "/d": 10, "/d/x": None}
    assert steps("drop", later) == {"/long": None, "/over": None, "/d": None, "/d/x": None}
    left = plan(kept, nothing, if_="absent", ttl="remaining", prune=False, now=later).skipped
    assert {one.key: one.reason for one in left} == {"/over": "expired", "/d": "expired", "/d/x": "expired"}

    # Of what is there, a moment that is nearly the same is the same.
    there = tree(DumpNode("/long", "x", 5, 5, NOW + 501 * SECOND))
    one = tree(kept.nodes["/long"])
    assert plan(one, there, if_="changed", ttl="remaining", prune=False, now=later).steps == ()
    (step,) = plan(one, there, if_="changed", ttl="drop", prune=False, now=later).steps
    assert (step.ttl, step.prev_index) == (None, 5)

    await async_load(client, kept, ttl="original")
    ttl = (await client.keys.get("/long")).node.ttl
    assert ttl is not None
    assert 400 < ttl <= 500


def test_below_a_file_that_stays_nothing_is_written() -> None:
    there = tree(DumpNode("/app", "a file", 5, 5))
    for if_ in ("absent", "changed"):
        found = plan(WANTED, there, if_=if_, ttl="drop", prune=False, now=NOW)
        assert [step.key for step in found.steps] == ["/_root", "/bin", "/odd\udcff"]
    assert [str(step) for step in plan(WANTED, there, if_="always", ttl="drop", prune=False, now=NOW).steps][:3] == [
        "set /_root",
        "delete /app",
        "make-dir /app",
    ]
    assert moved(WANTED) is WANTED


async def test_a_tree_goes_from_one_cluster_to_another(etcd_binary: Path, client: AsyncClient) -> None:
    """And what has a value of any length and any text arrives as it was."""
    await client.keys.set("/t/a", "x" * 100_000)
    await client.keys.set("/t/b", "", ttl=1000)
    source = await async_read_tree(client)
    with Server(etcd_binary, fsync=False) as other:
        async with AsyncClient(other.url, timeout=PATIENT) as target:
            await async_load(target, source)
            assert list(compare(source, await async_read_tree(target))) == []


async def test_a_load_takes_as_long_as_it_takes_and_moments_of_expiry_stay(client: AsyncClient) -> None:
    """What is left to live is counted when a key is written."""
    moment = time.time_ns() + 1000 * SECOND
    step = Step("set", "/late", "x", 2000, expires_at=moment)
    assert ttl_of(step, moment - 400 * SECOND - 1) == 401
    assert await async_do_step(client, step, ALWAYS)
    ttl = (await client.keys.get("/late")).node.ttl
    assert ttl is not None
    assert 900 < ttl <= 1001

    # What has expired between the plan and its turn is not written.
    assert await async_do_step(client, Step("set", "/over", "x", 2000, expires_at=1), ALWAYS) is None
    assert not await client.keys.exists("/over")


async def test_a_concurrency_of_none_is_refused(client: AsyncClient) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await async_load(client, WANTED, concurrency=0)


async def test_keys_that_are_no_utf_8_are_written_and_found_by_their_bytes(client: AsyncClient) -> None:
    """HTTP takes any bytes in a path; only its listings show U+FFFD for them."""
    odd = tree(
        DumpNode("/odd\udcff", None),
        DumpNode("/odd\udcff/a", "1"),
        DumpNode("/odd\udcff/b\udcfe", "2", expires_at=time.time_ns() + 1000 * SECOND),
        DumpNode("/odd\ufffd", "a name that has this letter"),
    )
    assert len((await async_load(client, odd)).done) == 4
    assert (await client.keys.get("/odd\ufffd")).value == "a name that has this letter"

    # They are known again, each by its bytes, and only what differs is written.
    assert (await async_load(client, odd, if_="changed")).done == ()
    changed = tree(*{**odd.nodes, "/odd\udcff/a": DumpNode("/odd\udcff/a", "one")}.values())
    assert keys_of(await async_load(client, changed)) == []
    assert keys_of(await async_load(client, changed, if_="changed")) == ["/odd\udcff/a"]
    assert {one.reason for one in (await async_load(client, odd)).skipped} == {"exists", "equal"}

    # A key where a directory is wanted, and the reverse.
    other = tree(DumpNode("/odd\udcff", "a key"))
    assert (await async_load(client, other, if_="changed")).done == ()
    assert [str(one) for one in (await async_load(client, other, if_="always")).done] == [
        "delete-dir /odd\udcff",
        "set /odd\udcff",
    ]
    assert keys_of(await async_load(client, odd, if_="always"))[:2] == ["/odd\udcff", "/odd\udcff"]

    # What HTTP cannot name is not deleted, and that is said; what is known by the tree is not taken for it.
    pruned = await async_load(client, tree(odd.nodes["/odd\udcff"]), if_="changed", prune=True)
    assert ("/odd\ufffd/a", "not UTF-8") in [(one.key, one.reason) for one in pruned.skipped]
    assert pruned.raced == ()


async def test_a_part_of_a_tree_is_loaded_elsewhere(client: AsyncClient) -> None:
    whole = tree(*(DumpNode(key, None if key == "/app" else "1") for key in ("/app", "/app/a", "/apple", "/b")))
    found = await async_load(client, whole, strip="/app", root="/x")
    assert [str(step) for step in found.done] == ["set /x/a"]
    assert [(one.key, one.reason) for one in found.skipped] == [("/apple", "elsewhere"), ("/b", "elsewhere")]
    assert keys_of(await async_load(client, whole, strip="app")) == ["/a"]
    assert below(whole, "/")[0] is below(whole, None)[0] is whole


async def test_a_limit_holds_for_all_calls_together(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before it is over stays; loaded again, it goes on."""
    many = tree(*(DumpNode(f"/many/{number:03d}", str(number)) for number in range(100)))

    def over(done: int, total: int) -> None:
        if done == 3:
            monkeypatch.setattr("etcdv2.transfer._limit.time", SimpleNamespace(monotonic=lambda: float("inf")))

    with pytest.raises(DeadlineExceeded, match="the 600 s for all of it are over"):
        await async_load(client, many, concurrency=1, progress=over, timeout=600)
    monkeypatch.undo()
    assert len(await async_read_tree(client, "/many")) == 3
    assert (await async_load(client, many, timeout=PATIENT.total)).raced == ()
    with pytest.raises(ValueError, match="more than 0"):
        await async_load(client, many, timeout=0)

    limit = Limit(1e-9)
    with pytest.raises(DeadlineExceeded, match="are over"):
        limit.call()
    assert (Limit(None).call(), Limit(None).cut(3)) == ({}, 3)
    assert Limit(100).cut(1000) <= 100
