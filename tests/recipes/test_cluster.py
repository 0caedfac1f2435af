"""Leases, locks and elections while members of a real cluster die: nothing is lost that could be renewed in time."""

from __future__ import annotations

from etcdv2 import Client
from etcdv2.recipes import Lease, Session
from etcdv2.testing import Cluster
from tests.conftest import FIRST_VERSION
from tests.tools.waiting import SOON, until

pytestmark = FIRST_VERSION

TTL = 10 * int(SOON)
"""Seconds: no machine is so slow that these run out. What is due later is done at once where a test asks for it."""


def renewed(session: Session, lease: Lease) -> None:
    """By a request that is sent now, and again until it is acknowledged."""
    state = lease._held_key.state
    before = state.index
    session._keeping.look_at(lease._held_key)
    until(lambda: state.index > before or state.ended)
    lease.check()


def test_a_lock_is_held_over_the_death_of_the_leader_and_handed_over(etcd_cluster: Cluster) -> None:
    with (
        Client(etcd_cluster.endpoints) as client,
        Client(etcd_cluster.endpoints) as other,
        Session(client, ttl=TTL) as session,
        Session(other, ttl=TTL) as second,
    ):
        lease = session.lock("/locks/db").acquire()
        leadership = session.election("/leader").campaign("a")
        leader = etcd_cluster.leader()
        leader.kill()
        try:
            renewed(session, lease)
            renewed(session, leadership)
            assert second.lock("/locks/db").try_acquire() is None
            lease.verify()
            assert lease.release(timeout=SOON) is True
            next_one = second.lock("/locks/db").acquire(timeout=SOON)
            assert next_one.token > lease.token
        finally:
            leader.start()
        renewed(session, leadership)
        assert second.election("/leader").leader() is not None
        next_one.release()
        leadership.release()


def test_a_refresh_through_a_paused_leader_goes_on_at_another_member(etcd_cluster: Cluster) -> None:
    with Client(etcd_cluster.endpoints) as client, Session(client, ttl=TTL) as session:
        lease = session.create("/e/a", "v")
        token = lease.token
        for _ in range(2):
            leader = etcd_cluster.leader()
            leader.pause()
            try:
                renewed(session, lease)
            finally:
                leader.resume()
            renewed(session, lease)
        assert client.keys.get("/e/a", quorum=True).node.created_index == token
        lease.verify()
        lease.release()
