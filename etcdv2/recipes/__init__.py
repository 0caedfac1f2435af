"""Locks and what else programs build on keys that expire, right under failure. Start with `Session`.

with etcdv2.Client(...) as client, Session(client) as session:
    with session.create("/services/web/a", "10.0.0.7:80") as lease: ...
"""

# Decisions without I/O are in _lease.py (when a lease is renewed and when it is lost) and _agenda.py (what is due);
# what sends and waits is in _async/, from which _sync/ is derived. Only public names of etcdv2, and its _runtime.

from etcdv2.recipes._async.barrier import AsyncBarrier
from etcdv2.recipes._async.counter import AsyncCounter
from etcdv2.recipes._async.double_barrier import AsyncDoubleBarrier
from etcdv2.recipes._async.election import AsyncElection, AsyncLeadership, AsyncObserver
from etcdv2.recipes._async.flag import AsyncFlag
from etcdv2.recipes._async.item import AsyncItem
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.lock import AsyncLock, AsyncRWLock
from etcdv2.recipes._async.party import AsyncParty
from etcdv2.recipes._async.queue import AsyncQueue
from etcdv2.recipes._async.registration import AsyncRegistration
from etcdv2.recipes._async.session import AsyncSession
from etcdv2.recipes._contest import Contender
from etcdv2.recipes._election import Leader
from etcdv2.recipes._errors import AcquireCancelled, AcquireTimeout, LeaseLost
from etcdv2.recipes._sync.barrier import Barrier
from etcdv2.recipes._sync.counter import Counter
from etcdv2.recipes._sync.double_barrier import DoubleBarrier
from etcdv2.recipes._sync.election import Election, Leadership, Observer
from etcdv2.recipes._sync.flag import Flag
from etcdv2.recipes._sync.item import Item
from etcdv2.recipes._sync.lease import Lease
from etcdv2.recipes._sync.lock import Lock, RWLock
from etcdv2.recipes._sync.party import Party
from etcdv2.recipes._sync.queue import Queue
from etcdv2.recipes._sync.registration import Registration
from etcdv2.recipes._sync.session import Session

__all__ = [
    "AcquireCancelled",
    "AcquireTimeout",
    "AsyncBarrier",
    "AsyncCounter",
    "AsyncDoubleBarrier",
    "AsyncElection",
    "AsyncFlag",
    "AsyncItem",
    "AsyncLeadership",
    "AsyncLease",
    "AsyncLock",
    "AsyncObserver",
    "AsyncParty",
    "AsyncQueue",
    "AsyncRWLock",
    "AsyncRegistration",
    "AsyncSession",
    "Barrier",
    "Contender",
    "Counter",
    "DoubleBarrier",
    "Election",
    "Flag",
    "Item",
    "Leader",
    "Leadership",
    "Lease",
    "LeaseLost",
    "Lock",
    "Observer",
    "Party",
    "Queue",
    "RWLock",
    "Registration",
    "Session",
]
