"""The keys API against real servers: each method, its effect and its response; unusual keys and values."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from etcdv2 import Ack, AsyncClient, DirNotEmpty, KeyExists, KeyNotFound, NotDir, NotFile, Response
from etcdv2._runtime.primitives import async_sleep
from tests.tools.waiting import SOON


async def test_what_is_set_is_read_back(client: AsyncClient) -> None:
    written = await client.keys.set("/a", "1")
    read = await client.keys.get("/a")
    assert (read.value, read.node.modified_index) == ("1", written.index)


async def test_first_set_and_second_set_differ_in_their_previous_node_and_created_index(client: AsyncClient) -> None:
    first = await client.keys.set("/a", "1")
    second = await client.keys.set("/a", "2")
    assert (first.action, first.prev_node) == ("set", None)
    assert second.prev_node is not None
    assert (second.prev_node.value, second.prev_node.modified_index) == ("1", first.index)
    assert second.node.created_index == second.node.modified_index == second.index > first.index


async def test_response_carries_the_servers_headers(client: AsyncClient) -> None:
    assert client.cluster_id == ""
    written = await client.keys.set("/a", "1")
    read = await client.keys.get("/a", quorum=True)
    assert written.index == written.node.modified_index > 0
    assert 0 < written.raft_index < read.raft_index
    assert read.raft_term == written.raft_term > 0
    assert len(written.cluster_id) > 8
    assert written.cluster_id == read.cluster_id == client.cluster_id


async def test_index_of_a_read_is_that_of_the_store(client: AsyncClient) -> None:
    await client.keys.set("/a", "1")
    later = await client.keys.set("/b", "2")
    read = await client.keys.get("/a")
    assert read.index == later.index > read.node.modified_index


async def test_missing_key_raises_key_not_found_or_gives_the_default(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound) as caught:
        await client.keys.get("/none")
    assert (caught.value.code, caught.value.status, caught.value.cause) == (100, 404, "/none")
    assert isinstance(caught.value, LookupError)
    assert await client.keys.get("/none", default=None) is None
    assert await client.keys.get("/none", default="here") == "here"
    found = await client.keys.set("/none", "now")
    assert (await client.keys.get("/none", default=found)).value == "now"


async def test_default_does_not_hide_other_errors(client: AsyncClient) -> None:
    await client.keys.set("/file", "1")
    with pytest.raises(NotDir) as caught:
        await client.keys.get("/file/below", default=None)
    assert (caught.value.code, caught.value.cause) == (104, "/file")


async def test_cause_of_key_not_found_is_the_first_missing_path(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound) as caught:
        await client.keys.get("/none/below/deeper")
    assert caught.value.cause == "/none"


async def test_leading_slash_is_optional_and_trailing_slash_names_the_same_key(client: AsyncClient) -> None:
    await client.keys.set("a/b", "1")
    for key in ("/a/b", "a/b", "/a/b/", "a/b/"):
        found = await client.keys.get(key)
        assert (found.node.key, found.value) == ("/a/b", "1")


async def test_root_has_a_key_and_is_a_directory(client: AsyncClient) -> None:
    await client.keys.set("/a", "1")
    for key in ("/", ""):
        root = await client.keys.get(key)
        assert (root.node.key, root.node.dir, root.node.name) == ("/", True, "")
        assert root.node.modified_index == root.node.created_index == 0
        assert "/a" in [child.key for child in root.node.children]


async def test_create_refuses_what_is_there(client: AsyncClient) -> None:
    made = await client.keys.create("/a", "1")
    assert (made.action, made.value, made.prev_node) == ("create", "1", None)
    with pytest.raises(KeyExists) as caught:
        await client.keys.create("/a", "2")
    error = caught.value
    assert (error.code, error.status, error.cause, error.index) == (105, 412, "/a", made.index)
    assert error.endpoint in client.endpoints
    assert (await client.keys.get("/a")).value == "1"


async def test_update_keeps_the_created_index_and_refuses_what_is_not_there(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound) as caught:
        await client.keys.update("/a", "0")
    assert caught.value.status == 404
    assert not await client.keys.exists("/a")
    made = await client.keys.set("/a", "1")
    updated = await client.keys.update("/a", "2")
    assert (updated.action, updated.value) == ("update", "2")
    assert (updated.node.created_index, updated.node.modified_index) == (made.index, updated.index)


async def test_create_in_order_names_sort_in_the_order_of_creation(client: AsyncClient) -> None:
    made = [await client.keys.create_in_order("/queue", f"job {n}") for n in range(12)]
    names = [response.node.name for response in made]
    assert names == sorted(names)
    assert all(len(name) == 20 and int(name) == response.index for name, response in zip(names, made, strict=True))
    listed = await client.keys.get("/queue", sorted=True)
    assert [node.value for node in listed.node.children] == [f"job {n}" for n in range(12)]


async def test_create_in_order_below_a_file_is_refused(client: AsyncClient) -> None:
    await client.keys.set("/file", "1")
    with pytest.raises(NotDir):
        await client.keys.create_in_order("/file", "job")


async def test_deleting_a_file_says_what_it_was(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1")
    gone = await client.keys.delete("/a")
    assert gone.action == "delete"
    assert gone.prev_node is not None
    assert gone.prev_node.value == "1"
    assert (gone.node.created_index, gone.node.modified_index) == (made.index, gone.index)
    with pytest.raises(NotFile, match="delete"):
        _ = gone.value
    with pytest.raises(KeyNotFound):
        await client.keys.delete("/a")


async def test_deleting_a_directory_takes_dir_or_recursive(client: AsyncClient) -> None:
    await client.keys.set("/d/a", "1")
    with pytest.raises(NotFile) as caught:
        await client.keys.delete("/d")
    assert (caught.value.code, caught.value.status, caught.value.cause) == (102, 403, "/d")
    with pytest.raises(DirNotEmpty) as still:
        await client.keys.delete("/d", dir=True)
    assert (still.value.code, still.value.status, still.value.cause) == (108, 403, "/d")
    await client.keys.delete("/d/a")
    assert (await client.keys.delete("/d", dir=True)).node.dir
    await client.keys.set("/d/a/b/c", "1")
    await client.keys.delete("/d", recursive=True)
    assert not await client.keys.exists("/d")


async def test_exists_is_true_for_files_and_directories(client: AsyncClient) -> None:
    await client.keys.set("/d/a", "1")
    assert await client.keys.exists("/d/a")
    assert await client.keys.exists("/d", quorum=True)
    assert await client.keys.exists("/d/a", consistency="session")
    assert not await client.keys.exists("/d/b")


async def test_no_value_on_success_answers_with_an_index_only(client: AsyncClient) -> None:
    first = await client.keys.set("/a", "1", no_value_on_success=True)
    second = await client.keys.set("/a", "2", prev_index=first.index, no_value_on_success=True)
    queued = await client.keys.create_in_order("/q", "job", no_value_on_success=True)
    assert isinstance(first, Ack)
    assert isinstance(queued, Ack)
    assert (first.action, second.action, queued.action) == ("set", "compareAndSwap", "create")
    assert first.index < second.index < queued.index
    assert (await client.keys.get("/a")).node.modified_index == second.index
    assert first.raft_index > 0
    assert first.raft_term > 0
    assert first.cluster_id == client.cluster_id


async def test_every_read_consistency_gives_the_value(client: AsyncClient) -> None:
    await client.keys.set("/a", "1")
    read = client.keys.get
    answers = [
        await read("/a", consistency="local"),
        await read("/a", consistency="session"),
        await read("/a", consistency="quorum"),
        await read("/a", quorum=True),
        await read("/a", quorum=True, consistency="quorum"),
    ]
    assert [answer.value for answer in answers] == ["1"] * 5
    # Quorum reads go through raft, others do not.
    steps = [answer.raft_index for answer in answers]
    assert steps[0] == steps[1] < steps[2] < steps[3] < steps[4]


async def test_failed_write_leaves_no_index_behind(client: AsyncClient) -> None:
    before = await client.keys.set("/a", "1")
    with pytest.raises(KeyExists):
        await client.keys.create("/a", "2")
    assert (await client.keys.get("/a")).index == before.index


# --- time to live ----------------------------------------------------------------------------------------------------


async def test_ttl_is_counted_down_and_expires_the_key(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1", ttl=1)
    assert made.node.ttl == 1
    assert made.node.expiration is not None
    assert made.node.expiration.utcoffset() == timedelta(0)
    ends = time.monotonic() + SOON
    while await client.keys.exists("/a"):
        assert time.monotonic() < ends
        await async_sleep(0.05)


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (30, 30),
        (timedelta(minutes=1), 60),
        (timedelta(seconds=1, milliseconds=1), 2),
        (timedelta(microseconds=1), 1),
        (timedelta(days=365), 365 * 86400),
        (7_000_000_000, 7_000_000_000),
    ],
)
async def test_ttl_is_whole_seconds_rounded_up(client: AsyncClient, ttl: int | timedelta, seconds: int) -> None:
    assert (await client.keys.set("/a", "1", ttl=ttl)).node.ttl == seconds
    assert (await client.keys.create("/b", "1", ttl=ttl)).node.ttl == seconds
    assert (await client.keys.update("/a", "1", ttl=ttl)).node.ttl == seconds
    assert (await client.keys.create_in_order("/q", "1", ttl=ttl)).node.ttl == seconds
    assert (await client.keys.make_dir("/d", ttl=ttl)).node.ttl == seconds
    assert (await client.keys.refresh("/a", ttl)).node.ttl == seconds


async def test_every_write_without_ttl_clears_it(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1", ttl=100)
    swapped = await client.keys.set("/a", "2", prev_index=made.index)
    assert (swapped.node.ttl, swapped.node.expiration) == (None, None)
    await client.keys.set("/a", "1", ttl=100)
    assert (await client.keys.update("/a", "2")).node.ttl is None
    await client.keys.set("/a", "1", ttl=100)
    assert (await client.keys.set("/a", "2", ttl=None)).node.ttl is None


async def test_refresh_keeps_the_value_and_the_created_index(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "kept", ttl=10)
    refreshed = await client.keys.refresh("/a", 100)
    assert (refreshed.value, refreshed.node.ttl) == ("kept", 100)
    assert refreshed.node.created_index == made.node.created_index
    assert refreshed.node.modified_index == refreshed.index > made.index


async def test_refresh_of_a_missing_key_makes_none(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound):
        await client.keys.refresh("/a", 10)
    assert not await client.keys.exists("/a")


async def test_refresh_gives_a_ttl_to_a_key_that_had_none(client: AsyncClient) -> None:
    await client.keys.set("/a", "kept")
    assert (await client.keys.refresh("/a", timedelta(seconds=50))).node.ttl == 50


async def test_persist_keeps_the_value_and_drops_the_ttl(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "kept", ttl=100)
    kept = await client.keys.persist("/a")
    assert (kept.value, kept.node.ttl, kept.node.expiration) == ("kept", None, None)
    assert kept.node.created_index == made.node.created_index
    assert (await client.keys.get("/a")).node.ttl is None


async def test_persist_leaves_a_key_without_ttl_alone(client: AsyncClient) -> None:
    made = await client.keys.set("/a", "1")
    same = await client.keys.persist("/a")
    assert (same.action, same.node.modified_index, same.index) == ("get", made.index, made.index)


async def test_persist_refuses_what_is_not_a_file(client: AsyncClient) -> None:
    with pytest.raises(KeyNotFound):
        await client.keys.persist("/none")
    await client.keys.make_dir("/d", ttl=100)
    with pytest.raises(NotFile):
        await client.keys.persist("/d")
    await client.keys.set("/empty", "", ttl=100)
    assert (await client.keys.persist("/empty")).value == ""


# --- unusual keys and values -----------------------------------------------------------------------------------------

KEYS = {
    "percent": "/a%20b%",
    "plus and space": "/a+b c",
    "composed": "/caf\u00e9",
    "decomposed": "/cafe\u0301",
    "question mark": "/what?value=x",
    "hash": "/a#b",
    "controls": "/a\x00\x01\n\r\t\x7f",
    "quotes": "/\"'<>&\\",
    "separators": "/;=,:@!$()*~|^{}[]`",
    "dots within": "/...",
    "emoji": "/\U0001f9ed/\u2028",
    "hidden": "/d/_hidden",
    "long": "/" + "k" * 3000,
    "deep": "/x" * 200,
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
async def test_unusual_key_is_written_read_and_deleted(client: AsyncClient, key: str) -> None:
    written = await client.keys.set(key, "v")
    assert written.node.key == key
    assert (await client.keys.get(key)).value == "v"
    assert (await client.keys.update(key, "w")).node.key == key
    assert (await client.keys.delete(key, prev_value="w")).node.key == key
    assert not await client.keys.exists(key)


async def test_composed_and_decomposed_names_are_two_keys(client: AsyncClient) -> None:
    await client.keys.set("/caf\u00e9", "composed")
    await client.keys.set("/cafe\u0301", "decomposed")
    assert (await client.keys.get("/caf\u00e9")).value == "composed"
    assert (await client.keys.get("/cafe\u0301")).value == "decomposed"


VALUES = {
    "empty": "",
    "newlines": "\n\r\n",
    "form": "a=b&ttl=1;dir=true&c",
    "semicolon": ";a;b",
    "percent and plus": "100% +1 %zz",
    "emoji": "\U0001f9ed\u2028",
    "controls": "".join(map(chr, range(32))),
    "html": "<script>&amp;</script>",
    "a megabyte": "0123456789abcdef" * 65536,
    "a megabyte of two bytes": "\u00e9" * 524288,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_unusual_value_is_kept_exactly(client: AsyncClient, value: str) -> None:
    assert (await client.keys.set("/a", value)).value == value
    read = await client.keys.get("/a")
    assert (read.value, read.node.dir, read.node.ttl) == (value, False, None)
    queued = await client.keys.create_in_order("/q", value)
    assert isinstance(queued, Response)
    assert queued.value == value


async def test_long_previous_value_is_compared(client: AsyncClient) -> None:
    await client.keys.set("/a", "v" * 20_000)
    swapped = await client.keys.set("/a", "w", prev_value="v" * 20_000)
    assert swapped.action == "compareAndSwap"
