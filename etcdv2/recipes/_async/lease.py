"""What a user holds: a key with a TTL that is renewed in the background, until it is released or lost."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar
from weakref import ref

from etcdv2 import EtcdError, KeyNotFound, NotDir, NotFile
from etcdv2._runtime import clock
from etcdv2._runtime.interruption import AsyncInterruption
from etcdv2.recipes._async.flag import AsyncFlag
from etcdv2.recipes._async.held_key import AsyncHeldKey
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._errors import LeaseLost

L = TypeVar("L")


class _Call(Generic[L]):
    """A call with a lease, which it does not keep alive."""

    def __init__(self, lease: L, call: Callable[[L], object]) -> None:
        self._lease = ref(lease)
        self._call = call

    def __call__(self) -> None:
        lease = self._lease()
        if lease is not None:
            self._call(lease)


class AsyncGuard:
    """See `AsyncLease.guard`."""

    def __init__(self, lease: AsyncLease, held_key: AsyncHeldKey) -> None:
        self._lease = lease
        self._held_key = held_key
        self._interruption: AsyncInterruption | None = None

    async def __aenter__(self) -> AsyncLease:
        self._lease.check()
        self._interruption = AsyncInterruption()
        self._held_key.call_when_lost(self._interruption.interrupt)
        return self._lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interruption = self._interruption
        if interruption is None:
            return
        self._held_key.forget_call(interruption.interrupt)
        if await interruption.ended(error) or error is None:
            self._lease.check()


class AsyncLease:
    """A lock that is held, a permit, leadership, a claim or an ephemeral key: made by a session, and ended with it.

    It is renewed in the background until it is released. It is lost, for good, when no renewal was
    acknowledged in time, or when the key is found gone or changed; then `held` is False, `lost` is
    set, and the calls of `on_lost` are made. `with` releases it at the end.

    Guarantees: while `held` is True, the key is this lease's, as long as the clocks of the members
    differ by less than the margin (a tenth of the TTL, at least 0.5 s). No client can know more: what
    must be safe beyond that gives `token` to the store that it writes to, which refuses older ones.
    """

    def __init__(self, keeping: AsyncKeeping, held_key: AsyncHeldKey) -> None:
        self._keeping = keeping
        self._held_key = held_key

    def __repr__(self) -> str:
        state = self._held_key.state
        return f"<{type(self).__name__} of {self.key}, token {self.token}: {state.ended or f'{self.remaining:.1f} s'}>"

    @property
    def key(self) -> str:
        """The key, absolute."""
        return self._held_key.key

    @property
    def value(self) -> str:
        """What this lease has written to its key last. No I/O."""
        return self._held_key.value

    @property
    def ttl(self) -> int:
        """Seconds."""
        return self._held_key.state.times.ttl

    @property
    def cluster_id(self) -> str:
        """Tokens of another cluster, or of one that was restored from a backup, cannot be compared."""
        return self._held_key.cluster_id

    @property
    def token(self) -> int:
        """A number that rises from holder to holder (the key's created index): give it to whatever you write to."""
        return self._held_key.token

    @property
    def held(self) -> bool:
        """Whether it is neither lost nor released, and its deadline has not come. No I/O."""
        return self._held_key.state.held(clock.now())

    @property
    def remaining(self) -> float:
        """Seconds until it is lost unless it is renewed before; 0 when it is not held."""
        return max(0.0, self._held_key.state.deadline - clock.now()) if self.held else 0.0

    @property
    def reason(self) -> str:
        """Why it was lost, "" when it was not."""
        self._held_key.state.tick(clock.now())
        return self._held_key.state.reason

    @property
    def lost(self) -> AsyncFlag:
        """Set when it was lost; not when it was released."""
        return self._held_key.lost

    def check(self) -> None:
        """Raises LeaseLost unless it is held. No I/O: call it before each effect."""
        if not self.held:
            raise self._is_lost()

    async def verify(self, *, timeout: float | None = None) -> None:
        """Look at the key besides, by a quorum read. Raises LeaseLost, and what a read raises.

        After it nobody else held this key at the moment of the read. Takes at most `timeout`
        seconds, by default those until the lease's deadline.
        """
        self.check()
        limit = max(0.001, self.remaining if timeout is None else timeout)
        try:
            node = (await self._keeping.client.keys.get(self.key, quorum=True, timeout=limit)).node
        except (KeyNotFound, NotFile, NotDir):
            node = None
        if node is None or node.created_index != self.token:
            self._keeping.look_at(self._held_key)
            raise LeaseLost(self.key, self.token, "its key is gone" if node is None else "its key is somebody else's")
        self.check()

    def on_lost(self, call: Callable[[Self], object]) -> None:
        """Call it with the lease, once, when it is lost: at once when it was lost already; never after a release.

        It is called in the background, with no lock held, and may use this and every other lease. It
        is not called for a lease that nobody holds any more.
        """
        self._held_key.call_when_lost(_Call(self, call))

    def guard(self) -> AsyncGuard:
        """For a block that may run only while the lease is held.

        Raises LeaseLost at its beginning and at its end. In asyncio the block is cancelled when the
        lease is lost, and that ends in LeaseLost; a thread cannot be interrupted.
        """
        return AsyncGuard(self, self._held_key)

    async def release(self, *, timeout: float | None = None) -> bool:
        """Delete the key; whether it is certainly gone by now. Else the session goes on deleting it.

        Takes at most `timeout` seconds, by default a sixth of the TTL and 2 s. May be called again.
        """
        return await self._keeping.release(self._held_key, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lost = self._held_key.state.ended != "released" and not self.held
        await self.release()
        if lost and error is None:
            raise self._is_lost()
        if lost and error is not None and not isinstance(error, LeaseLost):
            error.add_note(str(self._is_lost()))

    def _is_lost(self) -> EtcdError:
        state = self._held_key.state
        state.tick(clock.now())
        return LeaseLost(self.key, self.token, state.reason or "it was released")

    def __del__(self) -> None:
        held_key = getattr(self, "_held_key", None)
        if held_key is not None and not held_key.state.ended and not sys.is_finalizing():
            warnings.warn(
                f"a lease was forgotten, it is released: {self!r}", ResourceWarning, stacklevel=1, source=self
            )
            self._keeping.forget(held_key)
