# Derived from etcdv2/recipes/_async/own_watch.py by scripts/unasync.py: change that file, make generate.
"""A watch of a key that is held, so that its loss is noticed at once and not at the next renewal.

Owns the watch. What the loss means is found out by a renewal, which it has the background make now.
"""

from __future__ import annotations

from collections.abc import Callable

from etcdv2 import EtcdError, Event, Watcher
from etcdv2._runtime import clock
from etcdv2._runtime.primitives import Pulse, Worker
from etcdv2.recipes._sync.held_key import HeldKey

AGAIN_SECONDS = 1.0
"""Until the next watch, when one has ended by an error."""


class OwnWatch:
    """For as long as the key is held. `look` has the background look at it."""

    def __init__(self, watch: Callable[[int], Watcher[Event]], held: HeldKey, look: Callable[[], None]) -> None:
        self._watch = watch
        self._held = held
        self._look = look
        self._watcher: Watcher[Event] | None = None
        self._stopped = Pulse()
        self._ended = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._held.key}>"

    def start(self) -> None:
        """Raises RuntimeError where no thread can be started."""
        self._worker = Worker(self._run, "etcdv2-own-watch")

    def stop(self, reason: str) -> None:
        """End it, from any thread: the session ends."""
        del reason
        self._ended = True
        self._stopped.set()
        watcher = self._watcher
        if watcher is not None:
            watcher.close()

    def _run(self) -> None:
        while not self._is_over():
            watcher = self._watcher = self._watch(self._held.state.index)
            try:
                if self._is_over():
                    return
                self._read(watcher)
            except EtcdError:  # its history is cleared, for example: the renewal shows how the key is
                self._look()
                self._stopped.wait(AGAIN_SECONDS)
            except ValueError:  # it was closed, by `stop` or with the client
                return
            finally:
                self._watcher = None
                watcher.close()

    def _read(self, watcher: Watcher[Event]) -> None:
        """Until the key is not held any more, or the watch is closed."""
        held = self._held
        while not self._is_over():
            event = watcher.next()
            if event is None:
                self._ended = True
            elif event.deleted or event.node.created_index != held.token or not self._is_ours(event):
                self._look()

    def _is_ours(self, event: Event) -> bool:
        return event.node.value in (self._held.value, self._held.wanted)

    def _is_over(self) -> bool:
        return self._ended or not self._held.state.held(clock.now())
