# Derived from etcdv2/recipes/_async/held_key.py by scripts/unasync.py: change that file, make generate.
"""The requests for one key that a lease stands for: renewal, settling, deletion.

Owns what each answer means for the lease; the decisions are `LeaseState`'s.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol
from weakref import ref

from etcdv2 import (
    Client,
    ClusterChanged,
    CompareFailed,
    EtcdError,
    KeyNotFound,
    LeaderElection,
    Node,
    NotDir,
    NotFile,
    OutcomeUnknown,
    RaftInternal,
    Timeout,
    Unauthorized,
)
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import Pulse, sleep
from etcdv2.recipes._clocks import MemberClocks
from etcdv2.recipes._lease import CHANGED, GONE, LeaseState
from etcdv2.recipes._sync.flag import Flag

logger = logging.getLogger("etcdv2")

NO_LONGER_OURS = (KeyNotFound, NotDir, NotFile)
"""There is nothing at the key, or a directory; a file stands where a directory above it was."""
DELETE_AGAIN_SECONDS = 0.2
LOST_CLUSTER = "the cluster was replaced"
MOMENT = 0.001
"""Seconds: the least for a request, where its time is over."""


@lru_cache(maxsize=64)
def within(seconds: float) -> Timeout:
    """One try, or several where members refuse the connection."""
    seconds = max(MOMENT, seconds)
    return Timeout(connect=seconds, attempt=seconds, commit=seconds, total=seconds)


class Ghosts(Protocol):
    """See `Creation.work`."""

    def work(self) -> float | None: ...


class HeldKey:
    """One key, from the acknowledged write that made it until it is certainly deleted or somebody else's."""

    def __init__(self, client: Client, key: str, value: str, token: int, cluster_id: str, state: LeaseState) -> None:
        self._client = client
        self._warned = False
        self._ended_at = 0.0
        self._to_delete = True
        self.key = key
        self.value = value
        self.token = token
        self.cluster_id = cluster_id
        self.state = state
        self.wanted: str | None = None
        """A value that the next write of the key gives it."""
        self.settled = Pulse()
        """Set when the key has got it, or has ended."""
        self.lost = Flag()
        self.lost_calls: deque[Callable[[], object]] = deque()
        self.wakers: list[Callable[[], None]] = []
        """What ends the waits of an entry that is lost."""
        self.ghosts: Ghosts | None = None
        """Creates of this key that may be carried out after its deletion."""
        self.holder: tuple[ref[object], str] | None = None
        """Which task or thread has acquired it, and what it cannot acquire twice."""
        self.bar = ""
        """A value that it gets, and with it expires, instead of its deletion where one of `ghosts` may come."""
        self.clocks: MemberClocks | None = None
        """Those of the session."""
        self.parent = ""
        """A directory to remove with it, when it is empty."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} ({self.token}): {self.state!r}>"

    # --- in the background -------------------------------------------------------------------------------------------

    def work(self) -> float | None:
        """Renew it; when it has ended, delete what is left. See `Work`."""
        if not self.state.ended and not self.state.tick(clock.now()):
            self._renew()
        if self.state.ended == "lost" and not self.lost.is_set():
            self._now_lost()
        if not self.state.ended:
            return self.next_due()
        if self.delete(self.state.times.one_try):
            return None if self.ghosts is None else self.ghosts.work()

        # Longer than the key can live without a renewal there is nothing to delete.
        moment = clock.now()
        self._ended_at = self._ended_at or moment
        return moment + DELETE_AGAIN_SECONDS if moment < self._ended_at + 2 * self.state.times.ttl else None

    def next_due(self) -> float:
        """When `work` is to be called next, while the lease is held."""
        return min(self.state.due, self.state.deadline)

    def end(self) -> bool:
        """The holder gives it up; False when it had ended before."""
        return self.state.release()

    def after_fork(self) -> None:
        """In a forked child: lost, and nobody is called."""
        self._to_delete = False
        self.state.lose("it belongs to the parent process")
        self.lost_calls.clear()
        self.lost = Flag()
        self.lost.set()

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left to delete."""
        return not self._to_delete

    def abandon(self) -> None:
        """Lost with its cluster: there is nothing to delete in the new one."""
        self._lose(LOST_CLUSTER, delete=False)

    def _renew(self) -> None:
        """One try of a refresh, conditional on everything that is known of the key."""
        state, began = self.state, clock.now()
        state.try_begins(began)
        limit = within(min(state.times.one_try, state.deadline - began))
        try:
            state.renewed(self._write(limit), clock.now())
        except CompareFailed:
            self._settle()
        except NO_LONGER_OURS:
            self._lose(GONE, delete=False)
        except ClusterChanged:
            self._lose(LOST_CLUSTER, delete=False)
        except (OutcomeUnknown, RaftInternal, LeaderElection):
            state.unanswered(clock.now())
        except EtcdError as error:
            self._warn(error)
            state.not_done(clock.now())
        except ValueError as error:  # the client was closed meanwhile
            self._lose(str(error), delete=False)

    def _write(self, limit: Timeout) -> int:
        """The refresh, or the new value that is wanted; the key's modified index after it."""
        state, value, sent = self.state, self.wanted, clock.now()
        keys, ttl, index = self._client.keys, state.times.ttl, state.index
        known = self.value or None  # etcd takes an empty prevValue for none
        if value is None:
            answer = keys.refresh(self.key, ttl, prev_value=known, prev_index=index, repeat_writes=False, timeout=limit)
        else:
            answer = keys.set(
                self.key, value, ttl=ttl, prev_value=known, prev_index=index, repeat_writes=False, timeout=limit
            )
            self._is_now(value)
        self._compare_clocks(sent, answer.node)
        return answer.node.modified_index

    def _compare_clocks(self, sent: float, node: Node) -> None:
        """Warn, once in a session, when the clocks of two members that took writes differ by more than the margin."""
        clocks, times = self.clocks, self.state.times
        if clocks is None or node.expiration is None:
            return
        clocks.note(sent, clock.now(), node.expiration.timestamp(), times.ttl)
        if clocks.apart > times.margin and not clocks.warned:
            clocks.warned = True
            logger.warning(
                "the clocks of members differ by %.1f s or more, leases allow for %.1f s: two may hold a lock at once; "
                "synchronise them, or give the session a larger margin",
                clocks.apart,
                times.margin,
            )

    def _is_now(self, value: str) -> None:
        """The key is known to have this value."""
        self.value = value
        if self.wanted == value:
            self.wanted = None
            self.settled.set()

    def _settle(self) -> None:
        """A refresh was refused: whose is the key?"""
        state, sent = self.state, clock.now()
        try:
            answer = self._client.keys.get(
                self.key, quorum=True, timeout=within(min(state.times.one_try, state.deadline - sent))
            )
        except NO_LONGER_OURS:
            self._lose(GONE, delete=False)
        except ClusterChanged:
            self._lose(LOST_CLUSTER, delete=False)
        except EtcdError as error:
            self._warn(error)
            state.unanswered(clock.now())  # a proxy may have sent the refused one twice
        else:
            node = answer.node
            if node.created_index == self.token and node.value is not None and node.value in (self.value, self.wanted):
                self._is_now(node.value)
                state.found(node.modified_index, node.ttl, sent, clock.now())
            else:
                self._lose(CHANGED, delete=False)

    def _lose(self, reason: str, *, delete: bool) -> None:
        self._to_delete = delete
        self.state.lose(reason)

    def _now_lost(self) -> None:
        """Say it: once, with no lock held."""
        logger.warning("the lease of %s (token %d) was lost: %s", self.key, self.token, self.state.reason)
        self.lost.set()
        self.settled.set()
        for wake in tuple(self.wakers):
            wake()
        self._call_all()

    def _warn(self, error: EtcdError) -> None:
        """A refusal that may pass, credentials that were changed for example: once in the log."""
        if not self._warned and isinstance(error, Unauthorized):
            self._warned = True
            logger.warning("the lease of %s is not renewed: %s", self.key, error)

    # --- deletion ----------------------------------------------------------------------------------------------------

    def delete(self, seconds: float) -> bool:
        """Delete what is left of it, for at most `seconds`; whether it is certain that nothing is left."""
        until = clock.now() + seconds
        while self._to_delete and (left := until - clock.now()) > 0:
            try:
                self._end_key(within(left))
                self._to_delete = False
            except (*NO_LONGER_OURS, ClusterChanged, ValueError):  # or the client was closed
                self._to_delete = False
            except CompareFailed:
                self._look(until)
            except EtcdError:
                sleep(min(DELETE_AGAIN_SECONDS, max(0.0, until - clock.now())))
        if not self._to_delete and self.parent:
            self._tidy(until)
        return not self._to_delete

    def _end_key(self, limit: Timeout) -> None:
        """One try of its deletion; or of barring its name, so that no late create can make it again."""
        keys, index = self._client.keys, self.state.index
        if self.bar and self.ghosts is not None:
            ttl = 2 * self.state.times.ttl
            keys.set(self.key, self.bar, ttl=ttl, prev_index=index, repeat_writes=False, timeout=limit)
        else:
            keys.delete(self.key, prev_index=index, repeat_writes=False, timeout=limit)

    def _tidy(self, until: float) -> None:
        """Remove the directory, where nobody else is in it: one try, as nothing depends on it."""
        parent, self.parent = self.parent, ""
        with contextlib.suppress(EtcdError, ValueError):
            self._client.keys.delete(
                parent, dir=True, repeat_writes=False, timeout=within(max(MOMENT, until - clock.now()))
            )

    def delete_until(self, moment: float) -> None:
        """The same with a moment of the clock for an end."""
        self.delete(moment - clock.now())

    def _look(self, until: float) -> None:
        """A refresh came between: its index is the one to delete, where the key is still ours."""
        try:
            found = self._client.keys.get(self.key, quorum=True, timeout=within(until - clock.now()))
        except (*NO_LONGER_OURS, ClusterChanged, ValueError):
            self._to_delete = False
        except EtcdError:
            sleep(min(DELETE_AGAIN_SECONDS, max(0.0, until - clock.now())))
        else:
            self._to_delete = found.node.created_index == self.token
            self.state.index = found.node.modified_index

    # --- who wants to know -------------------------------------------------------------------------------------------

    def call_when_lost(self, call: Callable[[], object]) -> None:
        """At once when it was lost already."""
        self.lost_calls.append(call)
        if self.lost.is_set():
            self._call_all()

    def forget_call(self, call: Callable[[], object]) -> None:
        """It is not to be made any more."""
        with contextlib.suppress(ValueError):
            self.lost_calls.remove(call)

    def _call_all(self) -> None:
        while True:
            try:
                call = self.lost_calls.popleft()
            except IndexError:  # all done, perhaps by another thread
                return
            try:
                call()
            except Exception:  # the others must be called all the same
                logger.exception("in on_lost of %s", self.key)
