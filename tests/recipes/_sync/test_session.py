# Derived from tests/recipes/_async/test_session.py by scripts/unasync.py: change that file, make generate.
"""Ephemeral keys of a session at a real server: renewed, released, lost, forgotten, closed with the client."""

from __future__ import annotations

import gc
from datetime import timedelta

import pytest

from etcdv2 import Client, KeyExists, KeyNotFound
from etcdv2._runtime.primitives import sleep
from etcdv2.recipes import LeaseLost, Session
from etcdv2.testing import Server
from tests.recipes._sync.waits import comes, is_gone, renew_now
from tests.tools.waiting import SOON, until


@pytest.mark.load
def test_a_key_is_there_for_longer_than_its_ttl_until_it_is_released(client: Client, other: Client) -> None:
    with Session(client, ttl=30) as session:
        lease = session.create("/e/a", "v")
        made = (other.keys.get("/e/a")).node
        assert (lease.key, lease.value, lease.ttl) == ("/e/a", "v", 30)
        assert (lease.token, lease.cluster_id) == (made.created_index, client.cluster_id)

        # A renewal that comes by itself, and some more.
        seen = set()
        for number in range(5):
            if number:
                renew_now(session, lease)
            before = (other.keys.get("/e/a")).node.modified_index

            def is_renewed(before: int = before) -> bool:
                return (other.keys.get("/e/a")).node.modified_index > before

            comes(is_renewed)
            seen.add((other.keys.get("/e/a")).node.created_index)
        assert seen == {lease.token}
        assert lease.held
        assert 0 < lease.remaining <= 30
        assert session.leases == (lease,)

        assert lease.release(timeout=SOON) is True
        assert not lease.held
        assert not lease.lost.is_set()
        assert lease.reason == ""
        assert other.keys.get("/e/a", default=None) is None
        assert lease.release(timeout=SOON) is True
        with pytest.raises(LeaseLost, match="released"):
            lease.check()


def test_a_key_that_is_there_is_not_taken(client: Client, other: Client) -> None:
    other.keys.set("/e/a", "v")
    with Session(client) as session:
        with pytest.raises(KeyExists):
            session.create("/e/a", "v")
        assert session.leases == ()


@pytest.mark.parametrize("hand", ["delete", "set", "swap"])
def test_a_key_that_somebody_changed_is_lost_for_good(client: Client, other: Client, hand: str) -> None:
    with Session(client, ttl=600) as session:
        lease = session.create("/e/a", "mine")
        calls: list[str] = []
        lease.on_lost(lambda lease: calls.append(lease.reason))
        if hand == "delete":
            other.keys.delete("/e/a")
        elif hand == "set":
            other.keys.set("/e/a", "mine")
        else:
            other.keys.set("/e/a", "theirs", prev_exist=True)
        renew_now(session, lease)
        assert lease.lost.wait(SOON)
        assert not lease.held
        assert lease.remaining == 0
        assert lease.reason == ("its key is gone" if hand == "delete" else "its key was changed by somebody else")
        until(lambda: calls)
        assert calls == [lease.reason]
        lease.on_lost(lambda _: calls.append("at once"))
        assert calls[1:] == ["at once"]
        with pytest.raises(LeaseLost, match="was lost"):
            lease.check()

        # Theirs stays, and so does the loss.
        assert (other.keys.get("/e/a", default=None) is None) == (hand == "delete")
        assert lease.release() is False
        assert (other.keys.get("/e/a", default=None) is None) == (hand == "delete")


def test_verify_sees_a_change_before_the_next_renewal(client: Client, other: Client) -> None:
    with Session(client, ttl=3600) as session:
        lease = session.create("/e/a", "mine")
        lease.verify()
        other.keys.set("/e/a", "mine")
        assert lease.held
        with pytest.raises(LeaseLost, match="somebody else"):
            lease.verify()
        assert lease.lost.wait(SOON)


def test_a_block_whose_lease_was_lost_ends_in_the_loss(client: Client, other: Client) -> None:
    with Session(client, ttl=600) as session:
        with pytest.raises(LeaseLost):  # noqa: PT012 - what ends the block is what is tested
            with session.create("/e/a", "mine") as lease:
                other.keys.delete("/e/a")
                renew_now(session, lease)
                lease.lost.wait(SOON)
        with pytest.raises(RuntimeError, match="own") as caught:  # noqa: PT012 - the same
            with session.create("/e/a", "mine") as lease:
                other.keys.delete("/e/a")
                renew_now(session, lease)
                lease.lost.wait(SOON)
                raise RuntimeError("its own")
        assert any("was lost" in note for note in caught.value.__notes__)


def test_without_a_server_it_is_lost_in_time(etcd: Server) -> None:
    with Client(etcd.url) as client:
        session = Session(client, ttl=2)
        lease = session.create("/e/a", "mine")
        etcd.pause()
        try:
            assert lease.lost.wait(SOON)
            assert lease.reason == "it was not renewed in time"
        finally:
            etcd.resume()

        # What is left of it is deleted, so that nobody has to wait for its TTL.
        is_gone(client, "/e/a")


def test_a_forgotten_lease_is_released_with_a_warning(client: Client, other: Client) -> None:
    with Session(client, ttl=3600) as session:
        lease = session.create("/e/a", "mine")
        with pytest.warns(ResourceWarning, match="forgotten"):  # noqa: PT031 - the collector warns
            del lease
            gc.collect()
        is_gone(other, "/e/a")


def test_all_ends_with_the_session_and_with_the_client(etcd: Server, other: Client) -> None:
    with Client(etcd.url) as client:
        with Session(client, ttl=3600) as session:
            kept = [session.create(f"/e/{n}", "mine") for n in range(10)]
        assert not any(lease.held or lease.lost.is_set() for lease in kept)
        with pytest.raises(KeyNotFound):
            other.keys.get("/e/0")
        with pytest.raises(ValueError, match="closed"):
            session.create("/e/a", "mine")

        with_client = Session(client, ttl=3600)
        lease = with_client.create("/e/b", "mine")
        left = Session(client, ttl=3600)
        orphan = left.create("/e/c", "mine")
        left.close(release=False)
    assert not lease.held
    assert not orphan.held
    assert other.keys.get("/e/b", default=None) is None
    assert (other.keys.get("/e/c")).value == "mine"


class Part:
    """Something that is built on a client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.closed = 0

    def close(self) -> None:
        self.closed += 1
        self._client.keys.set("/part", "closed")
        raise RuntimeError("its own")


def test_what_is_attached_is_closed_before_the_client_which_is_closed_whatever_that_raises(
    etcd: Server, other: Client
) -> None:
    client = Client(etcd.url)
    part = Part(client)
    client.attach(part)
    client.attach(Part(client))  # is forgotten
    gc.collect()
    with pytest.raises(RuntimeError, match="its own"):
        client.close()
    assert part.closed == 1
    assert (other.keys.get("/part")).value == "closed"
    with pytest.raises(ValueError, match="closed"):
        client.keys.get("/part")


def test_arguments_are_refused_before_anything_is_sent(client: Client, other: Client) -> None:
    for wrong in (0, 1, -3, timedelta(0)):
        with pytest.raises(ValueError, match="ttl"):
            Session(client, ttl=wrong)
    for kind in (None, True, 2.5, "15"):
        with pytest.raises(TypeError, match="ttl"):
            Session(client, ttl=kind)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    for owner in ("", "a/b", "_a", ".."):
        with pytest.raises(ValueError, match="owner"):
            Session(client, owner=owner)
    for margin in (-1.0, 7.5):
        with pytest.raises(ValueError, match="margin"):
            Session(client, margin=margin)
    session = Session(client, ttl=timedelta(seconds=2.5))
    with pytest.raises(ValueError, match="ttl"):
        session.create("/e/a", "v", ttl=1)
    with pytest.raises(ValueError, match="timeout"):
        session.create("/e/a", "v", timeout=-1)
    assert other.keys.get("/e", default=None) is None
    sleep(0)
    session.close()
