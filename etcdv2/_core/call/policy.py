"""What may be done with one call.

Whether it writes, whether it may be repeated, how fresh its answer must be. Depends on the
arguments, not on the operation alone. Knows nothing of attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from etcdv2._types.settings import Consistency
from etcdv2_api import Call


class CallPolicy(NamedTuple):
    """How one call may be tried."""

    write: bool
    repeat: bool
    """Repeat a write whose answer was lost: at least once instead of at most once."""
    session: bool
    """Refuse answers older than what the client has seen."""
    commit: bool
    """Whether it goes through raft and so has `Timeout.commit` for one try."""
    at_once: bool = False
    """Hand over what a member without a leader says, instead of asking others and waiting for one."""


READING = frozenset({"GET", "HEAD"})
LOCAL_READ = CallPolicy(write=False, repeat=False, session=False, commit=False)
READS: Mapping[Consistency, CallPolicy] = {
    "local": LOCAL_READ,
    "session": CallPolicy(write=False, repeat=False, session=True, commit=False),
    "quorum": CallPolicy(write=False, repeat=False, session=False, commit=True),
}
WRITES: Mapping[bool, CallPolicy] = {
    repeat: CallPolicy(write=True, repeat=repeat, session=False, commit=True) for repeat in (False, True)
}
RAW_WRITE = WRITES[False]._replace(at_once=True)
RAW_LOCAL_READ = LOCAL_READ._replace(at_once=True)
RAW_QUORUM_READ = READS["quorum"]._replace(at_once=True)


def raw_policy_for(call: Call[Any, Any]) -> CallPolicy:
    """Of a call whose caller wants etcd's answer, whatever it says."""
    if call.method not in READING:
        return RAW_WRITE
    return RAW_QUORUM_READ if ("quorum", "true") in call.query else RAW_LOCAL_READ


def policy_for(call: Call[Any, Any], *, repeat: bool, quorum: bool) -> CallPolicy:
    """GET and HEAD are reads; everything else writes."""
    if call.method not in READING:
        return WRITES[repeat]
    return READS["quorum" if quorum else "local"]
