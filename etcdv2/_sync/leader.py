# Derived from etcdv2/_async/leader.py by scripts/unasync.py: change that file, make generate.
"""Finds out which endpoint is the leader, and makes it the current one before a call.

Owns when that is asked, and for how long. Asks endpoints one by one: a call in itself, with the
rules of calls, would want the leader too.
"""

from __future__ import annotations

import time

from etcdv2._core.deadline import Deadline, shorter
from etcdv2._core.endpoints import Endpoint, parse_advertised
from etcdv2._core.wire import TransportFailure
from etcdv2._runtime.handlers import raise_of_handler
from etcdv2._sync.dispatcher import Dispatcher
from etcdv2_api import Message, operations

ASK_AGAIN_SECONDS = 5.0
"""Between two questions for the leader, while it is not the current endpoint."""


class LeaderPreference:
    """One per client that has `prefer_leader`."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._leader: Endpoint | None = None
        self._asked_at = float("-inf")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._leader or 'not found yet'}>"

    def before_call(self, deadline: Deadline) -> None:
        """Make the leader the current endpoint; if it is not among them, nothing changes.

        Takes `Timeout.attempt`, and half of the call's time, at most.
        """
        now = time.monotonic()
        if self._dispatcher.current == self._leader or now - self._asked_at < ASK_AGAIN_SECONDS:
            return
        self._asked_at = now

        within = shorter(self._dispatcher.timeout.attempt, deadline.share(2, now))
        found = self._find(Deadline.after(within, now))
        if found is not None:
            self._leader = found
            self._dispatcher.prefer(found)

    def _find(self, deadline: Deadline) -> Endpoint | None:
        """The leader, as the first endpoint that answers names it; None if it is none of them."""
        dispatcher, call = self._dispatcher, operations.get_leader()
        waiting = dispatcher.ordered_endpoints()
        while waiting and time.monotonic() < deadline:
            share = deadline.share(len(waiting), time.monotonic())
            endpoint = waiting.pop(0)
            try:
                reply = dispatcher.ask(endpoint, call, share)
                answer = call.decode(reply.status, reply.body)
            except TransportFailure as failure:
                if failure.phase != "pool" and not failure.aborted:  # these two say nothing of the endpoint
                    dispatcher.endpoint_failed(endpoint, failure)
                continue
            except ValueError as error:
                raise_of_handler(error)
                continue  # not etcd, or without the v2 API: the call itself will find out
            if isinstance(answer, Message) or dispatcher.is_foreign(reply):
                continue

            advertised = map(parse_advertised, answer.client_urls)
            return next((one for one in advertised if one is not None and one in dispatcher.endpoints), None)
        return None
