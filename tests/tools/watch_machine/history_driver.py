"""What the watch machine's client asks after an outage: `etcdv2/_async/watch/history_check.py` on the real core.

Left out: the raft index and term. What they say is also said by what is done where they say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etcdv2._core.watch.one_history import Landmark, OneHistory, Place
from tests.tools.watch_machine.network import Ask, Body, Flow, Mark, Soon

if TYPE_CHECKING:
    from tests.tools.watch_machine.polls_driver import Held, PollsDriver, Steps

SILENT_POLLS = 2
SEARCH, ENDING = 0.05, 0.02
"""How soon a silent poll is ended, and is given up then."""


class HistoryDriver:
    """One per watch. `strict`: whether the state is read again where the history cannot be known."""

    def __init__(self, driver: PollsDriver, *, strict: bool) -> None:
        self.driver = driver
        self.strict = strict
        self.history = OneHistory()

    def place(self, endpoint: int, flow: Flow) -> Place:
        return Place(flow.process if self.driver.world.ground.members_known else "", f"endpoint {endpoint}")

    def admits(self, endpoint: int, flow: Flow, found: list[bool]) -> Steps:
        history, place = self.history, self.place(endpoint, flow)
        if not history.is_doubtful(place):
            history.proved(place)
            found.append(True)
            return
        if not history.interrupted:
            history.interrupted = True
            if self.driver.cursor.go_back():
                return
        yield from self.prove(endpoint, flow, flow.headers.index, self.driver.cursor.wait_index, [])
        found.append(True)

    def admits_second(self, second: Held, found: list[bool]) -> Steps:
        endpoint, flow, landmark = second.endpoint, second.flow, self.driver.cursor.landmark
        if not self.history.is_new(self.place(endpoint, flow)):
            found.append(True)
            return
        try:
            if landmark is not None and second.since != landmark.modified + 1:
                there: list[bool] = []
                yield from self.has(endpoint, landmark, there)
                if there:
                    return
            yield from self.prove(endpoint, flow, flow.headers.index, second.since, found)
        except self.driver.failed_error:
            return

    def prove(self, endpoint: int, flow: Flow, store_index: int, asked_from: int | None, found: list[bool]) -> Steps:
        """Raises Lost, and Failed where it cannot be said now."""
        driver, history, place = self.driver, self.history, self.place(endpoint, flow)
        landmark = driver.cursor.landmark
        if landmark is not None and asked_from == landmark.modified + 1:
            if store_index < landmark.modified:
                return
            there: list[bool] = []
            yield from self.has(endpoint, landmark, there)
            if there == [False]:
                raise driver.loss("another history")
            if there:
                history.proved(place)
                found.append(True)
                return
        if self.strict and not history.has_stayed(place):
            raise driver.loss("a history that is not known")
        history.proved(place)
        found.append(True)

    def has(self, endpoint: int, landmark: Landmark, there: list[bool]) -> Steps:
        """Nothing is found where the history has left the index."""
        for _ in range(SILENT_POLLS):
            flows: list[Flow] = []
            try:
                yield from self.driver.ask(endpoint, Ask("poll", landmark.modified), flows)
            except self.driver.lost_error:
                return
            events: list[int] = []
            yield from self._search(flows[0], events)
            if events:
                there.append(self.driver.landmark_at(flows[0], events[0]) == landmark)
                return
        there.append(False)

    def _search(self, flow: Flow, events: list[int]) -> Steps:
        impatience = SEARCH
        try:
            while True:
                if not flow.inbox:
                    yield Soon(flow, impatience)
                if not flow.inbox:
                    if flow.ended:
                        raise self.driver.failed_error
                    if impatience != SEARCH or not self.driver.world.half_close(flow):
                        return
                    impatience = ENDING
                    continue
                part = flow.inbox.popleft()
                if part is Mark.END:
                    return
                if isinstance(part, Body) and part.whole:
                    events.append(part.event)
        finally:
            self.driver.world.close(flow)
