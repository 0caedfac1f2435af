# Derived from etcdv2/_async/watch/proxied_polls.py by scripts/unasync.py: change that file, make generate.
"""Polls through a proxy that hides something of them (`paths`): their headers, or the member that they wait at.

Owns how they are asked there, by rules 8 and 9 of `renewal`. Where headers are held back until the body begins, they
mostly come with the event. Such a poll is asked from the settled index on, again and again from the same one, which
the history still has or refuses; a watch that begins now begins at the index of a read.
"""

from __future__ import annotations

import logging
import time

from etcdv2._core.deadline import NEVER, Deadline
from etcdv2._core.watch.one_history import Place
from etcdv2._core.watch.renewal import State
from etcdv2._core.wire import TransportFailure
from etcdv2._sync.watch.history_check import place_of
from etcdv2._sync.watch.paths import HeadersHeldBack
from etcdv2._sync.watch.poll_requests import HeldPoll
from etcdv2._sync.watch.polls import Polls
from etcdv2._sync.watch.snapshot import StoreSeen, see_store
from etcdv2._types.api_errors import EtcdError
from etcdv2._types.call_errors import ClusterChanged, ClusterUnavailable, StaleRead

logger = logging.getLogger("etcdv2")

HELD_BACK_SECONDS = 10.0
"""How long a poll waits for its headers until it is asked again: how soon one that is dead is found out."""


UNOBSERVED_SECONDS = 10.0
"""Where nobody can look at the member that a poll waits at: its age when it is renewed, if the store has gone on."""


class ProxiedPolls(Polls):
    """`Polls` that may go through such a proxy."""

    def begin_watch(self, deadline: Deadline = NEVER) -> HeldPoll | StoreSeen:
        """A poll, as `register` gives it; or where the store was seen: then `await_headers` asks for one.

        Raises as `register` does.
        """
        try:
            return self.register(deadline)
        except HeadersHeldBack:
            return self._see_store(deadline)

    def observe(self, deadline: Deadline = NEVER) -> Place:
        """Who answers now. Raises as `perform` does."""
        asked_at = time.monotonic()
        try:
            poll = self._open(None, deadline)
        except HeadersHeldBack:
            seen = see_store(self._dispatcher, self.probes, deadline)
            return Place("", seen.endpoint.url)
        poll.stream.close()
        self._monitor.note(poll, asked_at)
        return place_of(poll)

    def _see_store(self, deadline: Deadline) -> StoreSeen:
        try:
            seen = see_store(self._dispatcher, self.probes, deadline)
            if self.cluster_id and seen.meta.cluster_id != self.cluster_id:
                raise ClusterChanged(self.cluster_id, seen.meta.cluster_id, seen.endpoint.url)
            if self.cluster_id and seen.meta.index < self._cursor.seen:
                self.check.check_index(seen)
            self.check.check_unseen(seen)
        except EtcdError:
            self._history.interrupted = True
            raise
        self.cluster_id = seen.meta.cluster_id
        with self._lock:
            self._cursor.opened(seen.meta.index)
        return seen

    def await_headers(self, seen: StoreSeen) -> HeldPoll | None:
        """A poll from the settled index on, when its headers have come. None when it has to be asked again.

        Raises as `register` does. The monitor looks at the endpoint meanwhile.
        """
        asked_at = time.monotonic()
        try:
            self._monitor.add(self, seen.endpoint)
            call = self.call(self._cursor.wait_index)
            poll = self._dispatcher.watch_at(seen.endpoint, call, HELD_BACK_SECONDS, greeting="")
        except TransportFailure as failure:
            logger.debug("watch of %s: no headers from %s: %s", self.key, seen.endpoint, failure)
            if not failure.timed_out:
                self.broke(failure)
                self._dispatcher.endpoint_failed(seen.endpoint, failure)
            return None
        except ClusterUnavailable:  # no thread to look at the endpoint
            return None
        finally:
            self._monitor.remove(self, seen.endpoint, for_good=self._renewal.state is State.CLOSED)

        if poll is None:
            self._monitor.paths.passes_on(seen.endpoint)  # a refusal, which the usual way reads
            return None
        try:
            return self.admitted(poll, asked_at)
        except (ClusterUnavailable, StaleRead, HeadersHeldBack) as error:
            logger.debug("watch of %s: %s", self.key, error)
            return None

    def is_due(self, store_index: int) -> bool:
        """Whether `renew` has something to do now."""
        return super().is_due(store_index) or self._is_unobserved(store_index)

    def _is_unobserved(self, store_index: int) -> bool:
        """Whether the poll may wait at a member that nobody looks at, and the store has gone on elsewhere."""
        first = self._first
        if first is None or self._renewal.state is not State.POLLING or store_index <= first.at.index:
            return False
        sure = self._monitor.paths.is_sure(first.poll.endpoint)
        return not sure and time.monotonic() - self._begun_at >= UNOBSERVED_SECONDS
