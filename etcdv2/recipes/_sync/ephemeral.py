# Derived from etcdv2/recipes/_async/ephemeral.py by scripts/unasync.py: change that file, make generate.
"""The making of a key that a lease stands for, however often its answer is lost.

Owns whose key it is after an unknown create, and the deletion of one that may still come: a request
that lies with a paused member is carried out when that goes on, though its client has gone
(spec/protocol.md section 14).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from etcdv2 import (
    Client,
    ClusterUnavailable,
    CompareFailed,
    EtcdError,
    KeyExists,
    KeyNotFound,
    LeaderElection,
    Node,
    NotDir,
    NotFile,
    OutcomeUnknown,
    RaftInternal,
    Response,
    StaleRead,
)
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import sleep
from etcdv2.recipes._lease import AGAIN_SECONDS, LeaseState, LeaseTimes
from etcdv2.recipes._sync.held_key import HeldKey, within

PASSING = (OutcomeUnknown, ClusterUnavailable, LeaderElection, RaftInternal, StaleRead)
"""What a create or a read may end in that another try can mend."""
GHOST_LOOK_SECONDS = 1.0
"""Between two looks for a create that may still be carried out."""


def nothing_stops() -> None:
    """For a create that goes on until its time is over."""


class Creation:
    """The creates of one key with one value, until it is certain whether one of them was applied.

    One that was given up may be asked to create again. `ours`: created indexes of keys that are not to be
    taken for late creates, as they are held.
    """

    def __init__(
        self,
        client: Client,
        key: str,
        value: str,
        times: LeaseTimes,
        rng: Random,
        ours: Callable[[], set[int]] = set,
    ) -> None:
        self._client = client
        self._rng = rng
        self._ours = ours
        self._unanswered: list[float] = []
        self._known_index = 0
        self._ghosts_until = 0.0
        self._creates = False
        """Now: what is found meanwhile may be what this call makes."""
        self.made: HeldKey | None = None
        """What it made last, also where the handler of a signal kept that from the caller."""
        self.key = key
        self.value = value
        self.times = times

    def create(self, until: float, check: Callable[[], None] = nothing_stops, *, takeover: bool = False) -> HeldKey:
        """The key, made by one of our creates. Raises KeyExists, and at `until` what the last try ended in.

        `check` is called before each try, and may raise. `takeover` sets the key, whosever it is.
        """
        self._creates, self._ghosts_until = True, 0.0
        try:
            return self._create(until, check, takeover=takeover)
        finally:
            self._creates = False

    def _create(self, until: float, check: Callable[[], None], *, takeover: bool) -> HeldKey:
        while True:
            check()
            sent = clock.now()
            limit = within(min(self.times.one_try, until - sent))
            self._unanswered.append(sent)  # also where this call is cancelled
            try:
                write = self._client.keys.set if takeover else self._client.keys.create
                answer = write(self.key, self.value, ttl=self.times.ttl, repeat_writes=False, timeout=limit)
                made = self._held(answer.node, sent, answer.cluster_id, others=len(self._unanswered) > 1)
                self._unanswered.pop()  # after it: at any line either it is known, or it may come
                return made

            # 1. Somebody's key is there: one of our own unanswered creates may have made it.
            except KeyExists:
                self._unanswered.pop()
                if not self._unanswered:
                    raise
                found = self._read(until)
                if found is not None and not self._is_ours(found.node):
                    raise
                if found is not None and (held := self._adopt(found)) is not None:
                    return held

            # 2. It may have been applied, now or later.
            except OutcomeUnknown as error:
                if len(self._unanswered) == 1:  # before it none may have made the key
                    self._known_index = error.index
                if clock.now() >= until:
                    raise

            # 3. It was not.
            except PASSING:
                self._unanswered.pop()
                if clock.now() >= until:
                    raise
            except (EtcdError, ValueError, TypeError):
                self._unanswered.pop()
                raise
            sleep(min(self._rng.uniform(*AGAIN_SECONDS), max(0.0, until - clock.now())))

    def work(self) -> float | None:
        """After `create` was given up: delete what one of its creates makes even now. See `Work`."""
        self._ghosts_until = self._ghosts_until or clock.now() + 2 * self.times.ttl
        try:
            node = (self._client.keys.get(self.key, quorum=True, timeout=within(self.times.one_try))).node
            if self._is_ours(node) and not self._creates:
                self._delete(node)
        except ValueError:  # the client was closed
            return None
        except (KeyNotFound, NotDir, NotFile, CompareFailed):
            pass
        except EtcdError:
            return clock.now() + GHOST_LOOK_SECONDS
        return clock.now() + GHOST_LOOK_SECONDS if clock.now() < self._ghosts_until else None

    @property
    def may_come(self) -> bool:
        """Whether a create was sent whose outcome is not known."""
        return bool(self._unanswered)

    def _adopt(self, found: Response) -> HeldKey | None:
        """The key that one of our creates made. None where it may expire any moment: then it is deleted."""
        earliest = min(self._unanswered)
        if clock.now() < self.times.deadline(earliest):
            return self._held(found.node, earliest, found.cluster_id, others=True)
        try:
            self._delete(found.node)
        except (*PASSING, KeyNotFound, NotDir, NotFile, CompareFailed):
            pass
        return None

    def _delete(self, node: Node) -> None:
        limit = within(self.times.one_try)
        self._client.keys.delete(self.key, prev_index=node.modified_index, repeat_writes=False, timeout=limit)

    def _read(self, until: float) -> Response | None:
        """The key through raft; None when there is none, or nobody says so: then a create is tried again."""
        try:
            return self._client.keys.get(
                self.key, quorum=True, timeout=within(min(self.times.one_try, until - clock.now()))
            )
        except (*PASSING, KeyNotFound, NotDir, NotFile):
            return None

    def _is_ours(self, node: Node) -> bool:
        created, made = node.created_index, 0 if self.made is None else self.made.token
        is_new = created > self._known_index and created != made and created not in self._ours()
        return node.value == self.value and is_new

    def _held(self, node: Node, sent: float, cluster_id: str, *, others: bool) -> HeldKey:
        state = LeaseState(self.times, node.modified_index, sent, self._rng)
        held = HeldKey(self._client, node.key, self.value, node.created_index, cluster_id, state)
        if others:
            held.ghosts = self
        self.made = held
        return held
