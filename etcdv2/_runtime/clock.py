"""The clock that leases are kept by.

Owns the choice among the platform's clocks.
"""

from __future__ import annotations

import time

if hasattr(time, "CLOCK_BOOTTIME"):

    def now() -> float:
        """Seconds since the machine was started, those that it slept included, as the server's clock counts them.

        `time.monotonic` stands still on Linux while the machine sleeps; by it a lease would outlive its key.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:

    def now() -> float:
        """`time.monotonic`: on macOS and Windows there is no other that is never set."""
        return time.monotonic()
