"""The v2 store in Python, where no server is needed: expiry, restoring, and what 3.4 and 3.5 do differently."""

from __future__ import annotations

import pytest

from etcdv2 import DirectoryTTL, KeyNotFound, RootReadOnly
from etcdv2.transfer import StoreEvent, StoreNode, StoreRequest, V2Store, apply
from etcdv2.transfer._crc32c import extend_in_python, find_extend

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


def expired(events: tuple[StoreEvent, ...]) -> list[tuple[str, int]]:
    assert {event.action for event in events} <= {"expire"}
    return [(event.node.path, event.node.modified_index) for event in events]


def test_the_earliest_expires_first_and_each_takes_an_index() -> None:
    store = V2Store(index=10)
    store.set("/1/late", expires_at=NOW + 3)
    store.set("/1/early", expires_at=NOW + 1)
    store.set("/1/never")
    assert expired(store.expire(NOW)) == []
    assert expired(store.expire(NOW + 3)) == [("/1/early", 14), ("/1/late", 15)]
    assert [node.path for node in store.children("/1")] == ["/1/never"]


def test_a_directory_expires_with_all_below_it_in_one_event() -> None:
    store = V2Store()
    store.set("/1/d", dir=True, expires_at=NOW + 2)
    store.set("/1/d/soon", expires_at=NOW + 1)
    store.set("/1/d/a/b/later", expires_at=NOW + 3)
    assert expired(store.expire(NOW + 5)) == [("/1/d/soon", 4), ("/1/d", 5)]
    assert store.children("/1") == ()


def test_a_moment_that_was_changed_or_taken_away_does_not_count() -> None:
    store = V2Store()
    store.set("/1/a", "x", expires_at=NOW + 1)
    store.set("/1/a", expires_at=NOW + 9, refresh=True)
    store.set("/1/b", expires_at=NOW + 1)
    store.update("/1/b", "y")
    store.set("/1/c", expires_at=NOW + 1)
    store.delete("/1/c")
    assert expired(store.expire(NOW + 8)) == []
    assert store.get("/1/a").value == "x"
    assert expired(store.expire(NOW + 9)) == [("/1/a", 7)]


def test_thousands_of_refreshes_keep_the_right_moment() -> None:
    store = V2Store()
    for number in range(5000):
        store.set("/1/a", expires_at=NOW + number)
    store.set("/1/b", expires_at=NOW + 2)
    assert [path for path, _ in expired(store.expire(NOW + 4998))] == ["/1/b"]
    assert [path for path, _ in expired(store.expire(NOW + 4999))] == ["/1/a"]


def test_the_ttl_of_a_directory_is_3_4s_alone() -> None:
    older, newer = V2Store(), V2Store(directory_ttl=False)
    for store in (older, newer):
        store.set("/1/d", dir=True)
    event = older.update("/1/d", expires_at=NOW)
    assert (event.node.modified_index, older.get("/1/d").modified_index, older.index) == (2, 1, 2)
    assert older.get("/1/d").expires_at == NOW
    with pytest.raises(DirectoryTTL, match="nodePath /1/d : Not a file"):
        newer.update("/1/d", expires_at=NOW)
    assert (newer.index, newer.get("/1/d").expires_at) == (1, None)


def test_errors_say_what_a_server_says() -> None:
    store = V2Store(index=7)
    with pytest.raises(KeyNotFound) as missing:
        store.get("/1/a/b")
    assert (missing.value.code, missing.value.cause, missing.value.index) == (100, "/1/a", 7)
    with pytest.raises(RootReadOnly) as root:
        store.delete("/1", recursive=True)
    assert (root.value.code, root.value.cause) == (107, "/")
    with pytest.raises(ValueError, match="no v2 request"):
        apply(store, StoreRequest("PATCH"))


def test_nodes_are_put_back_as_they_were() -> None:
    store = V2Store(index=50)
    store.set("/1/a/b", "x", expires_at=NOW)
    store.set("/1/a/_h/c", "y")
    store.set("/2/users", dir=True)
    copy = V2Store(index=store.index)
    for node in store.walk():
        copy.place(node)
    assert list(copy.walk()) == list(store.walk())
    assert [one.path for one in copy.walk("/1", hidden=False)] == ["/1", "/1/a", "/1/a/b"]
    assert len(copy.expire(NOW)) == 1


def test_a_path_of_very_many_segments_is_a_path() -> None:
    store = V2Store()
    store.set("/1" + "/d" * 20_000, "x", expires_at=NOW)
    assert sum(1 for _ in store.walk("/1")) == 20_001
    store.delete("/1/d", recursive=True)
    assert store.expire(NOW) == ()
    assert repr(store) == "<V2Store at index 2>"


def test_names_are_sorted_by_their_bytes() -> None:
    store = V2Store()
    for name in ("\U00010000", "\uffff", "\udcff", "a", "B"):
        store.set(f"/1/{name}")
    assert [node.name for node in store.children("/1")] == ["B", "a", "\uffff", "\U00010000", "\udcff"]
    assert isinstance(store.get("/1/a"), StoreNode)


@pytest.mark.parametrize("extend", [extend_in_python, find_extend()])
def test_the_checksum_is_castagnolis(extend: object) -> None:
    assert callable(extend)
    assert extend(0, b"123456789") == 0xE306_9283
    assert extend(extend(0, b"123456789ab"), bytes(range(256))) == extend(0, b"123456789ab" + bytes(range(256)))
    assert extend(0, b"") == 0
