"""Locks and what else programs build on keys that expire, right under failure. Start with `Session`.

with etcdv2.Client(...) as client, Session(client) as session:
    with session.create("/services/web/a", "10.0.0.7:80") as lease: ...
"""

# Decisions without I/O are in _lease.py (when a lease is renewed and when it is lost) and _agenda.py (what is due);
# what sends and waits is in _async/, from which _sync/ is derived. Only public names of etcdv2, and its _runtime.

from etcdv2.recipes._async.election import AsyncElection, AsyncLeadership, AsyncObserver
from etcdv2.recipes._async.flag import AsyncFlag
from etcdv2.recipes._async.lease import AsyncLease
from etcdv2.recipes._async.lock import AsyncLock, AsyncRWLock
from etcdv2.recipes._async.registration import AsyncRegistration
from etcdv2.recipes._async.session import AsyncSession
from etcdv2.recipes._contest import Contender
from etcdv2.recipes._election import Leader
from etcdv2.recipes._errors import AcquireCancelled, AcquireTimeout, LeaseLost
from etcdv2.recipes._sync.election import Election, Leadership, Observer
from etcdv2.recipes._sync.flag import Flag
from etcdv2.recipes._sync.lease import Lease
from etcdv2.recipes._sync.lock import Lock, RWLock
from etcdv2.recipes._sync.registration import Registration
from etcdv2.recipes._sync.session import Session

__all__ = [
    "AcquireCancelled",
    "AcquireTimeout",
    "AsyncElection",
    "AsyncFlag",
    "AsyncLeadership",
    "AsyncLease",
    "AsyncLock",
    "AsyncObserver",
    "AsyncRWLock",
    "AsyncRegistration",
    "AsyncSession",
    "Contender",
    "Election",
    "Flag",
    "Leader",
    "Leadership",
    "Lease",
    "LeaseLost",
    "Lock",
    "Observer",
    "RWLock",
    "Registration",
    "Session",
]
