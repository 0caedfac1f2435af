"""Other people's writes: keys of a directory, so many per second. Knows nothing of who watches.

It says a line when it has begun, ends when its stdin does, and then says how many they were.
"""

from __future__ import annotations

import json
import selectors
import sys
import time

from .bare_socket import Wire

KEYS = 100


def write(host: str, port: int, directory: str, rate: float) -> tuple[int, float]:
    """The number of writes, and the seconds that they took."""
    wire = Wire(host, port)
    requests = [wire.put(f"{directory}/k{number:02}", "x") for number in range(KEYS)]
    wire.exchange(requests[0])
    print(flush=True)

    # As many as are due by now, then a look at stdin for a millisecond: that holds the rate over many seconds, though
    # not from one write to the next.
    written = 0
    start = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while not selector.select(1 / 1000):
            for _ in range(int((time.perf_counter() - start) * rate) - written):
                wire.exchange(requests[written % KEYS])
                written += 1

    seconds = time.perf_counter() - start
    wire.close()
    return written, seconds


if __name__ == "__main__":
    print(json.dumps(write(**json.loads(sys.argv[1]))))
