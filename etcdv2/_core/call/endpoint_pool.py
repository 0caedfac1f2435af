"""Which endpoints there are and in what order to try them: rest after failures, never used up.

No I/O, no clock of its own. Every method may be called from any thread: each value is replaced at
once, and a lost race costs a try at a resting endpoint, never an endpoint.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence

from etcdv2._core.deadline import backoff
from etcdv2._core.endpoints import Endpoint

logger = logging.getLogger("etcdv2")

FIRST_REST_SECONDS = 0.5
"""Seconds an endpoint rests after its first failure; doubled by each further one."""
LONGEST_REST_SECONDS = 30.0


class _Health:
    """What is known against one endpoint: at first nothing."""

    __slots__ = ("cluster_id", "failures", "resting_until", "served_v2", "without_v2")

    def __init__(self) -> None:
        self.failures = 0
        self.resting_until = float("-inf")
        self.without_v2 = False
        self.served_v2 = False
        """Whether it has answered a call of the v2 API."""
        self.cluster_id: str | None = None
        """The other cluster's id while the endpoint is quarantined."""

    @property
    def state(self) -> str:
        if self.cluster_id is not None:
            return f"of cluster {self.cluster_id}"
        if self.without_v2:
            return "no v2 API"
        return f"{self.failures} failures" if self.failures else "well"


class EndpointPool:
    """Endpoints with their health.

    The configured ones stay for ever; discovered ones come and go by `discovered`.
    """

    def __init__(self, endpoints: Sequence[Endpoint], rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._configured = tuple(endpoints)
        shuffled = list(self._configured)
        self._rng.shuffle(shuffled)
        self._all: tuple[Endpoint, ...] = tuple(shuffled)
        self._health = {endpoint: _Health() for endpoint in shuffled}
        self._troubled: frozenset[Endpoint] = frozenset()
        """Those with anything against them: mostly none."""
        self._first: Endpoint | None = shuffled[0] if shuffled else None

    def __repr__(self) -> str:
        shown = ", ".join(f"{endpoint} ({self._health[endpoint].state})" for endpoint in self._all)
        return f"<{type(self).__name__} at {self._first}: {shown}>"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._all

    @property
    def first(self) -> Endpoint:
        """The endpoint that calls go to while it answers. Raises ValueError while there is none."""
        if self._first is None:
            raise ValueError("no endpoint is known yet: they are looked up with the first call")
        return self._first

    def order(self, now: float, *, write: bool = False) -> list[Endpoint]:
        """All endpoints: the current one, the others that are well, then those that rest.

        The one whose rest ends first is the first of these. Quarantined ones come last, and for a
        write not at all, unless all are.
        """
        # 1. Mostly nothing is known against anybody.
        first, health = self._first, self._health
        everyone = self._all
        if len(everyone) == 1:
            return list(everyone)
        if not self._troubled:
            start = everyone.index(first) if first is not None and first in everyone else 0
            return [*everyone[start:], *everyone[:start]]

        # 2. From the current one on, around.
        if write and not self.all_quarantined():
            everyone = tuple(one for one in everyone if health[one].cluster_id is None)
        start = everyone.index(first) if first is not None and first in everyone else 0
        turned = everyone[start:] + everyone[:start]

        # 3. The well ones stay in this order, the others come behind them.
        well: list[Endpoint] = []
        resting: list[Endpoint] = []
        for endpoint in turned:
            state = health[endpoint]
            ready = state.resting_until <= now and state.cluster_id is None
            (well if ready else resting).append(endpoint)
        resting.sort(key=lambda endpoint: (health[endpoint].cluster_id is not None, health[endpoint].resting_until))
        return well + resting

    def shares(self, queue: Sequence[Endpoint], now: float) -> int:
        """Among how many of `queue` a short time is to be shared: all that rest count as one."""
        if not self._troubled:
            return len(queue)
        well = self.well(now)
        awake = sum(endpoint in well for endpoint in queue)
        return min(len(queue), awake + 1)

    def well(self, now: float) -> list[Endpoint]:
        """Those that neither rest nor are quarantined."""
        health = self._health
        return [one for one in self._all if health[one].resting_until <= now and health[one].cluster_id is None]

    def succeeded(self, endpoint: Endpoint) -> None:
        """It answered: it is the current one from now on."""
        if endpoint not in self._all:  # dropped while a call to it was under way
            return

        state = self._health[endpoint]
        state.served_v2 = True
        if state.failures or state.without_v2 or state.cluster_id is not None:
            logger.info("endpoint %s answers again", endpoint)
            self._troubled -= {endpoint}
            state.failures = 0
            state.resting_until = float("-inf")
            state.without_v2 = False
            state.cluster_id = None

        self._first = endpoint

    def has_served_v2(self, endpoint: Endpoint) -> bool:
        """Whether it has answered a call of the v2 API before."""
        state = self._health.get(endpoint)
        return state is not None and state.served_v2

    def failed(self, endpoint: Endpoint, now: float, why: str) -> None:
        """It did not answer, or uselessly: it rests, longer each time; another one comes first."""
        state = self._known(endpoint)
        if state is None:
            return
        if not state.failures:
            logger.info("endpoint %s rests: %s", endpoint, why)

        # Calls that were under way together fail together: that counts once.
        if now >= state.resting_until:
            state.failures += 1
            state.resting_until = now + backoff(
                state.failures, FIRST_REST_SECONDS, LONGEST_REST_SECONDS, uniform=self._rng.uniform
            )
        self._leave(endpoint, now)

    def without_v2(self, endpoint: Endpoint, now: float) -> None:
        """It has no v2 API: skip it for as long as the longest rest."""
        state = self._known(endpoint)
        if state is None:
            return
        if not state.without_v2:
            logger.warning("endpoint %s does not serve the v2 API and is skipped", endpoint)
        state.without_v2 = True
        state.resting_until = now + LONGEST_REST_SECONDS
        self._leave(endpoint, now)

    def quarantine(self, endpoint: Endpoint, now: float, cluster_id: str) -> None:
        """It answers for another cluster: used only when all others do so too."""
        state = self._known(endpoint)
        if state is None:
            return
        if state.cluster_id != cluster_id:
            logger.warning("endpoint %s belongs to another cluster (%s) and is quarantined", endpoint, cluster_id)
        state.cluster_id = cluster_id
        self._leave(endpoint, now)

    def readmit(self) -> None:
        """Nobody is quarantined any more: the client has switched to another cluster."""
        for state in self._health.values():
            state.cluster_id = None
        self._troubled = frozenset(one for one, state in self._health.items() if state.failures or state.without_v2)

    def all_quarantined(self) -> bool:
        return all(self._health[endpoint].cluster_id is not None for endpoint in self._all)

    def prefer(self, endpoint: Endpoint) -> None:
        """Make it the current one (the leader, or the next after a silent member)."""
        if endpoint in self._all:
            self._first = endpoint

    def configure(self, endpoints: Iterable[Endpoint], *, in_order: bool = False) -> None:
        """Have these, and no others. Those that stay keep their health.

        `in_order`: the first one is to be used first, else a random one. Where nothing changes the
        current one stays.
        """
        configured = tuple(dict.fromkeys(endpoints))
        if set(configured) == set(self._all):
            self._configured = configured
            return

        order = list(configured)
        if not in_order:
            self._rng.shuffle(order)
        self._health = {**{endpoint: _Health() for endpoint in order}, **self._health}
        self._configured, self._all = configured, tuple(order)
        self._troubled &= frozenset(order)
        if in_order or self._first not in self._all:
            self._first = self._all[0]

    def discovered(self, endpoints: Iterable[Endpoint]) -> None:
        """Replace the discovered endpoints; the configured ones are kept in any case."""
        # 1. Those that stay keep their place and their health; new ones follow in random order.
        extra = [endpoint for endpoint in dict.fromkeys(endpoints) if endpoint not in self._configured]
        kept = [endpoint for endpoint in self._all if endpoint in self._configured or endpoint in extra]
        fresh = [endpoint for endpoint in extra if endpoint not in kept]
        self._rng.shuffle(fresh)

        # 2. Dropped ones keep their entry: another thread may be about to look it up.
        self._health = {**{endpoint: _Health() for endpoint in fresh}, **self._health}
        self._all = (*kept, *fresh)
        if self._first not in self._all:
            self._first = self._all[0]

    def _known(self, endpoint: Endpoint) -> _Health | None:
        """Its health; None for one that was dropped while a call to it was under way."""
        return self._health[endpoint] if endpoint in self._all else None

    def _leave(self, endpoint: Endpoint, now: float) -> None:
        self._troubled |= {endpoint}
        if self._first == endpoint and len(self._all) > 1:
            order = self.order(now)
            self._first = next((other for other in order if other != endpoint), endpoint)
