"""A flag that is set once, for users to look at and to wait for."""

from __future__ import annotations

from etcdv2._runtime.primitives import AsyncPulse


class AsyncFlag:
    """Set once, for good. Any number may wait for it."""

    def __init__(self) -> None:
        self._pulse = AsyncPulse()
        self._is_set = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'set' if self._is_set else 'not set'}>"

    def is_set(self) -> bool:
        """Whether it is set by now; once it is, for good. No I/O."""
        return self._is_set

    async def wait(self, timeout: float | None = None) -> bool:
        """True when it is set; False after `timeout` seconds."""
        return await self._pulse.wait(timeout)

    def set(self) -> None:
        """For the session alone."""
        self._is_set = True
        self._pulse.set()
