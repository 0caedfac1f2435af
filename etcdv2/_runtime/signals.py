"""How long a wait may last at once, so that the handler of a signal that came just before it began has its turn.

CPython notes a signal at any moment and runs its handler in the main thread, between two instructions. A system call
that waits is ended by a signal, but not by one that came in the moment before it began, or that another thread of the
process took: then the handler waits for as long as the call does. So a wait of the main thread that may be long is
made of shorter ones; other threads, of which there may be a thousand, run no handlers.
"""

from __future__ import annotations

import threading
from math import inf

LONGEST_SECONDS = 0.5
"""A matter of pace: as late may Ctrl-C be, seldom enough."""


def longest_wait() -> float:
    """Seconds that this thread may wait at once."""
    return LONGEST_SECONDS if threading.get_ident() == threading.main_thread().ident else inf
