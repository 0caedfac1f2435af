"""What a schedule of faults needs of the ground that a run happens on, whatever it is made of."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from etcdv2.testing import Cluster, Server

SNAPSHOTS = "--snapshot-count=100"
"""How the members are started: a leader then keeps little more than the 5,000 entries that it always keeps."""


class Way(Protocol):
    """The way of clients to one member, and back."""

    delay: float
    """How slow it is: about the seconds that a small request takes."""
    lose_requests: bool
    """Writes do not reach the member."""
    lose_answers: bool
    """Writes reach the member, their answers do not come back."""

    def close_door(self) -> None:
        """Clients no longer get to the member."""

    def stall(self) -> None:
        """Nothing passes, and nobody is notified."""

    def go(self) -> None:
        """The end of `stall`."""

    def cut(self) -> None:
        """Reset what is open, where the ground can."""

    def mend(self) -> None:
        """As at the start."""


class PeerWay(Protocol):
    """A way that other members take."""

    delay: float


class Ground(abc.ABC):
    """A cluster of three; `endpoints` lead over ways that faults hit, `direct` over ways that none does."""

    name: ClassVar[str]
    drops: ClassVar[bool]
    """Whether packets can vanish: nobody accepts a connection to a member that is stalled."""
    own_faults: ClassVar[Mapping[str, Any]] = {}
    """Beyond those that every ground knows: `Fault` by name."""
    cluster: Cluster
    _stack: contextlib.ExitStack

    @property
    def members(self) -> list[Server]:
        return self.cluster.members

    @property
    def version(self) -> str:
        return self.cluster.version

    @property
    def direct(self) -> list[str]:
        return self.cluster.endpoints

    @property
    @abc.abstractmethod
    def endpoints(self) -> list[str]: ...

    @property
    @abc.abstractmethod
    def ways(self) -> Sequence[Way]:
        """Of clients, in the order of the members."""

    @property
    @abc.abstractmethod
    def peer_ways(self) -> Sequence[PeerWay]: ...

    @abc.abstractmethod
    def cut_off(self, member: Server) -> None:
        """No traffic between this member and the others, in both directions; clients still reach it."""

    @abc.abstractmethod
    def move(self, member: Server) -> None:
        """Start this member, which is away, with another address, which it advertises; `direct` stays as it is."""

    @abc.abstractmethod
    def mend(self) -> None:
        """All ways as at the start; the members are left as they are."""

    def heal(self) -> None:
        """Everything as at the start: ways, members, one leader that all know."""
        self.mend()
        self.cluster.heal()

    @abc.abstractmethod
    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mend()
        self._stack.close()
