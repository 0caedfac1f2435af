"""Says whether a watch may deliver what it does: every event of the watched key, in order, once, or a named loss."""

from __future__ import annotations

from tests.tools.watch_machine.cluster import History


class Violation(Exception):
    """The watch broke its promise."""


class SilentLoss(Violation):
    """An event was passed over, and no loss was named."""


class PassedOver(Violation):
    """The settled index went past an undelivered event: the next broken connection makes that a silent loss."""


class Doubled(Violation):
    """An event was delivered again."""


class Judge:
    """Knows all events; `position` is how far the watch has come."""

    def __init__(self) -> None:
        self.history: History | None = None
        self.position = 0
        self.delivered_events = 0
        self.named: list[str] = []
        self.proved = 0
        """How often the watch went on without an event."""
        self._settled = 0

    def begun(self, history: History, position: int) -> None:
        """The watch is to deliver all events of this history behind `position`."""
        if self.history is None:
            self.history, self.position = history, position

    def delivered(self, history: History, index: int) -> None:
        assert self.history is not None
        if history is not self.history and history.agrees(self.history, self.position):
            self.history = history  # put back to a copy that has all that was delivered, and nothing that was not
        if history is not self.history:
            raise SilentLoss(f"{index} of another history was delivered after {self.position}")
        if index <= self.position:
            raise Doubled(f"{index} after {self.position}")
        wanted = self.history.next_watched(self.position)
        if index != wanted:
            raise SilentLoss(f"{index} was delivered after {self.position}, and {wanted} was not")
        self.position = index
        self.delivered_events += 1

    def settled(self, index: int) -> None:
        """The watch holds that there is nothing more up to `index`."""
        if index > self.position and index != self._settled and self.history is not None:
            self.proved += 1
            self._settled = index
            wanted = self.history.next_watched(self.position)
            if wanted is not None and wanted <= index:
                raise PassedOver(f"settled to {index} after {self.position}, and {wanted} was not delivered")

    def lost(self, why: str) -> None:
        """A loss was named."""
        self.named.append(why)

    def state_was_read(self, history: History, index: int) -> None:
        """After a named loss: all up to `index` is known."""
        assert self.named
        self.history, self.position = history, index
