"""Endpoints that are looked up in DNS: with the first call, and again when none of them answers.

Owns when that is done, and the error when there are none. Which records count is the core's affair.
"""

from __future__ import annotations

import logging
import random
import time

from etcdv2._core.call.endpoint_pool import EndpointPool
from etcdv2._core.deadline import Deadline
from etcdv2._core.srv import Found, endpoints_of
from etcdv2._transport.srv_lookup import LIFETIME_SECONDS, async_srv_records, check_dnspython
from etcdv2._types.call_errors import Attempt, ClusterUnavailable, DeadlineExceeded
from etcdv2._types.srv import Srv

logger = logging.getLogger("etcdv2")

ASK_AGAIN_SECONDS = 1.0
"""Between two look-ups, while no endpoint answers."""


class AsyncSrvDiscovery:
    """One per client whose endpoints are in DNS."""

    def __init__(self, source: Srv, *, secure: bool) -> None:
        """`secure`: TLS settings or a password are given. Raises ImportError without dnspython."""
        if source.resolver is None:
            check_dnspython()
        self._source = source
        self._rng = random.Random()
        self._asked_at = float("-inf")
        self.secure = secure

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._source.domain}>"

    async def find(self, pool: EndpointPool, deadline: Deadline) -> None:
        """Fill the pool. Raises ClusterUnavailable when it is empty and no endpoint is found."""
        # 1. Many calls find together that nobody answers.
        now = time.monotonic()
        if pool.endpoints and now - self._asked_at < ASK_AGAIN_SECONDS:
            return
        self._asked_at = now

        # 2. Each name has its share of the time.
        found: dict[str, Found] = {}
        attempts: list[Attempt] = []
        names = self._source.names
        for position, (scheme, name) in enumerate(names):
            began = time.monotonic()
            ends = began + (deadline.cut(LIFETIME_SECONDS, began) or 0.0) / (len(names) - position)
            found[scheme] = records = await async_srv_records(name, self._source.resolver, ends)
            why = str(records) if isinstance(records, Exception) else "none of its records is used"
            attempts.append(Attempt(name, "connect", why, time.monotonic() - began))

        # 3. What is known stays when nothing better is found.
        endpoints = endpoints_of(found, secure=self.secure, rng=self._rng)
        if endpoints:
            if set(endpoints) != set(pool.endpoints):
                logger.info("endpoints of %s: %s", self._source.domain, ", ".join(map(str, endpoints)))
            pool.configure(endpoints, in_order=True)
        elif not pool.endpoints:
            over = time.monotonic() >= deadline
            kind = DeadlineExceeded if over else ClusterUnavailable
            raise kind(f"no endpoint of {self._source.domain} is found by its SRV records", attempts)
