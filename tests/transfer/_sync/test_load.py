# Derived from tests/transfer/_async/test_load.py by scripts/unasync.py: change that file, make generate.
"""A tree written into a cluster: what is there is never lost silently, and a load can be done again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from etcdv2 import Client, DeadlineExceeded, NotFile
from etcdv2.testing import Server
from etcdv2.transfer import DumpNode, Loaded, TransferError, Tree, compare, load, read_tree
from etcdv2.transfer._limit import Limit
from etcdv2.transfer._load import ttl_of
from etcdv2.transfer._plan import Step, below, moved, plan
from etcdv2.transfer._sync.load import do_step
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
def client(etcd: Server) -> Iterator[Client]:
    with Client(etcd.url, timeout=PATIENT) as client:
        client.keys.delete("/_root", missing_ok=True)
        yield client
        client.raw.send("DELETE", "/v2/keys/odd%FF", query=[("recursive", "true")])  # no listing has its name


def test_a_loaded_tree_is_equal_and_loading_again_does_nothing(client: Client) -> None:
    seen: list[tuple[int, int]] = []
    loaded = load(client, WANTED, progress=lambda done, total: seen.append((done, total)))
    assert (loaded.skipped, loaded.raced) == ((), ())
    assert seen == [(number, 9) for number in range(1, 10)]
    there = read_tree(client, hidden=HIDDEN)
    assert [str(one) for one in compare(WANTED, there)] == []

    again = load(client, WANTED, if_="changed")
    assert (again.done, again.raced) == ((), ())
    assert (read_tree(client)).index == there.index


def test_what_is_there_is_overwritten_only_where_that_is_asked_for(client: Client) -> None:
    client.keys.set("/app/a", "mine")
    client.keys.set("/app/empty", "a file")
    load(client, WANTED)
    assert (client.keys.get("/app/a")).value == "mine"

    changed = load(client, WANTED, if_="changed")
    assert keys_of(changed) == ["/app/a"]
    assert ("/app/empty", "exists") in [(one.key, one.reason) for one in changed.skipped]
    assert (client.keys.get("/app/a")).value == "1"
    assert (client.keys.get("/app/empty")).value == "a file"

    load(client, WANTED, if_="always")
    assert [str(one) for one in compare(WANTED, read_tree(client, hidden=HIDDEN))] == []


def test_a_dry_run_says_what_would_be_done_and_does_nothing(client: Client) -> None:
    before = (read_tree(client)).index
    would = load(client, WANTED, dry_run=True)
    assert (read_tree(client)).index == before
    assert keys_of(would) == keys_of(load(client, WANTED))


def test_what_is_not_wanted_is_pruned(client: Client) -> None:
    for key in ("/app/old/x/y", "/app/old/z", "/app/a", "/other"):
        client.keys.set(key, "old")
    below = tree(DumpNode("/app/a", "1"), root="/app")
    pruned = load(client, below, if_="changed", prune=True)
    assert [str(step) for step in pruned.done] == ["set /app/a", "delete-dir /app/old"]
    assert (client.keys.get("/other")).value == "old"


def test_a_tree_can_be_loaded_below_another_root(client: Client) -> None:
    below = tree(DumpNode("/app/a", "1"), DumpNode("/app/d/b", "2"), DumpNode("/app/d", None), root="/app")
    load(client, below, root="/copy/of")
    assert list(compare(below, read_tree(client, "/copy/of"))) == []
    with pytest.raises(TransferError, match="not below"):
        load(client, tree(DumpNode("/elsewhere", "1"), root="/app"), root="/copy")


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_load_that_was_interrupted_goes_on_where_it_was(etcd: Server, client: Client, concurrency: int) -> None:
    many = tree(*(DumpNode(f"/many/{number:03d}", str(number)) for number in range(100)))

    def interrupt(done: int, total: int) -> None:
        assert total == 100
        if done > 40:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        load(client, many, concurrency=concurrency, progress=interrupt)
    there = len(read_tree(client, "/many"))
    assert 0 < there < 100

    rest = load(client, many, if_="changed", concurrency=concurrency)
    assert len(rest.done) == 100 - there
    assert list(compare(many, read_tree(client))) == [
        one for one in compare(many, read_tree(client)) if one.kind == "+"
    ]


def test_somebody_who_was_faster_is_left_as_he_is(client: Client) -> None:
    index = (client.keys.set("/a", "his")).index
    assert not do_step(client, Step("set", "/a", "mine"), ALWAYS)
    assert not do_step(client, Step("set", "/a", "mine", prev_index=index - 1), ALWAYS)
    assert not do_step(client, Step("delete", "/a", prev_index=index - 1), ALWAYS)
    assert (client.keys.get("/a")).value == "his"
    assert not do_step(client, Step("set", "/a", "\udcff"), ALWAYS)
    assert not do_step(client, Step("set", "/a", "\udcff", prev_index=index - 1), ALWAYS)
    assert do_step(client, Step("delete", "/a", prev_index=index), ALWAYS)
    assert do_step(client, Step("set", "/a", "\udcff", 1000), ALWAYS)
    made = (client.keys.get("/a")).node
    assert (made.value, made.ttl is not None) == ("\ufffd", True)
    assert do_step(client, Step("set", "/a", "\udcfe", prev_index=made.modified_index), ALWAYS)
    assert do_step(client, Step("set", "/a", "\udcff", unconditional=True), ALWAYS)
    assert do_step(client, Step("delete", "/a"), ALWAYS)
    client.keys.make_dir("/a")
    with pytest.raises(NotFile):
        do_step(client, Step("set", "/a", "\udcff", unconditional=True), ALWAYS)
    client.keys.remove_dir("/a")
    assert not do_step(client, Step("set", "/a", "mine", prev_index=index), ALWAYS)


def test_times_to_live(client: Client) -> None:
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

    load(client, kept, ttl="original")
    ttl = (client.keys.get("/long")).node.ttl
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


def test_a_tree_goes_from_one_cluster_to_another(etcd_binary: Path, client: Client) -> None:
    """And what has a value of any length and any text arrives as it was."""
    client.keys.set("/t/a", "x" * 100_000)
    client.keys.set("/t/b", "", ttl=1000)
    source = read_tree(client)
    with Server(etcd_binary, fsync=False) as other:
        with Client(other.url, timeout=PATIENT) as target:
            load(target, source)
            assert list(compare(source, read_tree(target))) == []


def test_a_load_takes_as_long_as_it_takes_and_moments_of_expiry_stay(client: Client) -> None:
    """What is left to live is counted when a key is written."""
    moment = time.time_ns() + 1000 * SECOND
    step = Step("set", "/late", "x", 2000, expires_at=moment)
    assert ttl_of(step, moment - 400 * SECOND - 1) == 401
    assert do_step(client, step, ALWAYS)
    ttl = (client.keys.get("/late")).node.ttl
    assert ttl is not None
    assert 900 < ttl <= 1001

    # What has expired between the plan and its turn is not written.
    assert do_step(client, Step("set", "/over", "x", 2000, expires_at=1), ALWAYS) is None
    assert not client.keys.exists("/over")


def test_a_concurrency_of_none_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        load(client, WANTED, concurrency=0)


def test_keys_that_are_no_utf_8_are_written_and_found_by_their_bytes(client: Client) -> None:
    """HTTP takes any bytes in a path; only its listings show U+FFFD for them."""
    odd = tree(
        DumpNode("/odd\udcff", None),
        DumpNode("/odd\udcff/a", "1"),
        DumpNode("/odd\udcff/b\udcfe", "2", expires_at=time.time_ns() + 1000 * SECOND),
        DumpNode("/odd\ufffd", "a name that has this letter"),
    )
    assert len((load(client, odd)).done) == 4
    assert (client.keys.get("/odd\ufffd")).value == "a name that has this letter"

    # They are known again, each by its bytes, and only what differs is written.
    assert (load(client, odd, if_="changed")).done == ()
    changed = tree(*{**odd.nodes, "/odd\udcff/a": DumpNode("/odd\udcff/a", "one")}.values())
    assert keys_of(load(client, changed)) == []
    assert keys_of(load(client, changed, if_="changed")) == ["/odd\udcff/a"]
    assert {one.reason for one in (load(client, odd)).skipped} == {"exists", "equal"}

    # A key where a directory is wanted, and the reverse.
    other = tree(DumpNode("/odd\udcff", "a key"))
    assert (load(client, other, if_="changed")).done == ()
    assert [str(one) for one in (load(client, other, if_="always")).done] == [
        "delete-dir /odd\udcff",
        "set /odd\udcff",
    ]
    assert keys_of(load(client, odd, if_="always"))[:2] == ["/odd\udcff", "/odd\udcff"]

    # What HTTP cannot name is not deleted, and that is said; what is known by the tree is not taken for it.
    pruned = load(client, tree(odd.nodes["/odd\udcff"]), if_="changed", prune=True)
    assert ("/odd\ufffd/a", "not UTF-8") in [(one.key, one.reason) for one in pruned.skipped]
    assert pruned.raced == ()


def test_a_part_of_a_tree_is_loaded_elsewhere(client: Client) -> None:
    whole = tree(*(DumpNode(key, None if key == "/app" else "1") for key in ("/app", "/app/a", "/apple", "/b")))
    found = load(client, whole, strip="/app", root="/x")
    assert [str(step) for step in found.done] == ["set /x/a"]
    assert [(one.key, one.reason) for one in found.skipped] == [("/apple", "elsewhere"), ("/b", "elsewhere")]
    assert keys_of(load(client, whole, strip="app")) == ["/a"]
    assert below(whole, "/")[0] is below(whole, None)[0] is whole


def test_a_limit_holds_for_all_calls_together(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before it is over stays; loaded again, it goes on."""
    many = tree(*(DumpNode(f"/many/{number:03d}", str(number)) for number in range(100)))

    def over(done: int, total: int) -> None:
        if done == 3:
            monkeypatch.setattr("etcdv2.transfer._limit.time", SimpleNamespace(monotonic=lambda: float("inf")))

    with pytest.raises(DeadlineExceeded, match="the 600 s for all of it are over"):
        load(client, many, concurrency=1, progress=over, timeout=600)
    monkeypatch.undo()
    assert len(read_tree(client, "/many")) == 3
    assert (load(client, many, timeout=PATIENT.total)).raced == ()
    with pytest.raises(ValueError, match="more than 0"):
        load(client, many, timeout=0)

    limit = Limit(1e-9)
    with pytest.raises(DeadlineExceeded, match="are over"):
        limit.call()
    assert (Limit(None).call(), Limit(None).cut(3)) == ({}, 3)
    assert Limit(100).cut(1000) <= 100
