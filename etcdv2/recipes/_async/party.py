"""A party: who is there, as a live copy of the directory in which each member has a key.

Owns the names of the members. The keys are registrations, the copy is a mirror.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from etcdv2 import AsyncMirror, AsyncMirrorChanges, MirrorState, Node
from etcdv2.recipes._arguments import check_segment, check_text
from etcdv2.recipes._async.keeping import AsyncKeeping
from etcdv2.recipes._async.making import async_register
from etcdv2.recipes._async.registration import AsyncRegistration
from etcdv2.recipes._lease import LeaseTimes

T = TypeVar("T")


class AsyncParty:
    """Who takes part in something: made by a session. `with` begins the live copy of the members.

        with session.party("/workers") as party, party.join("a"):
            party.wait_for(lambda members: len(members) >= 3)

    Guarantees: `members` is a state that the server had, at most the TTL and 0.65 s behind the
    death of a member while the cluster can be reached (`stale_for` says otherwise). Members that
    cannot be reached for an outage longer than the TTL vanish, and come again.
    """

    def __init__(self, keeping: AsyncKeeping, key: str, times: LeaseTimes) -> None:
        self._keeping = keeping
        self._key = key
        self._times = times
        self._mirror: AsyncMirror = keeping.client.keys.mirror(key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.key}>"

    @property
    def key(self) -> str:
        """The directory, absolute."""
        return self._key

    @property
    def members(self) -> Mapping[str, Node]:
        """The members' keys by name, of one state. No I/O. Raises ValueError before `with`."""
        return _members(self._mirror.state)

    @property
    def stale_for(self) -> float | None:
        """Seconds since `members` was known to be current; None while it is."""
        return self._mirror.stale_for

    async def join(
        self, name: str, value: str = "", *, takeover: bool = False, timeout: float | None = None
    ) -> AsyncRegistration:
        """Become a member, until the registration is released: one key segment, not beginning with "_".

        Does not need `with` of the party, and does not end with it. Raises as `AsyncSession.register` does,
        KeyExists when there is a member of this name.
        """
        key = f"{self._key}/{check_segment('name', name)}"
        check_text("value", value)
        return await async_register(self._keeping, key, value, self._times, timeout, takeover=takeover)

    def changes(self) -> AsyncMirrorChanges:
        """Iterate over who comes, changes and goes from this call on: see `AsyncMirror.changes`."""
        return self._mirror.changes()

    async def wait_for(self, predicate: Callable[[Mapping[str, Node]], T], timeout: float | None = None) -> T:
        """Wait until `predicate` returns something true for the members, and return that.

        When `timeout` seconds are over (0: it looks once), or the party is closed meanwhile, its last,
        false value is returned. Raises as `AsyncMirror.wait_for` does.
        """
        return await self._mirror.wait_for(lambda state: predicate(_members(state)), timeout)

    async def stop(self, reason: str) -> None:
        """For the session, which ends."""
        del reason
        await self.close()

    async def close(self) -> None:
        """End the live copy, from any thread or task; registrations go on."""
        await self._mirror.close()

    async def __aenter__(self) -> Self:
        self._keeping.check_open()
        self._keeping.waits.add(self)
        await self._mirror.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _members(state: MirrorState) -> dict[str, Node]:
    """The files directly in the directory, by their names."""
    return {node.key.rpartition("/")[2]: node for node in state.children() if not node.dir}
