"""What calls return: plain, frozen data around the generated `Node`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal

from typing_extensions import TypeVar

from etcdv2._types.api_errors import NotFile
from etcdv2_api import Node

V = TypeVar("V", default=str)


@dataclass(frozen=True, slots=True)
class Response:
    """The server's answer to a call on a key."""

    action: str
    """`get`, `set`, `create`, `update`, `compareAndSwap`, `delete` or `compareAndDelete`."""
    node: Node
    """What was read, or is there now."""
    prev_node: Node | None
    """What was there before a set, update, compare-and-swap or deletion; None for nothing."""
    index: int
    """X-Etcd-Index: for a write the node's modified index; for a read, watch after it."""
    raft_index: int
    """X-Raft-Index: how far the member's raft log was, which v3 moves as well."""
    raft_term: int
    """X-Raft-Term: grows with each election."""
    cluster_id: str
    """X-Etcd-Cluster-Id."""

    @property
    def value(self) -> str:
        """The node's value. Raises NotFile for a directory, and for the node of a deletion."""
        value = self.node.value
        if value is None:
            what = "Not a file" if self.node.dir else f"The node of a {self.action} has no value"
            raise NotFile(what, code=102, cause=self.node.key, index=self.index)
        return value

    def walk(self) -> Iterator[Node]:
        """The node and everything below it that was read, depth first."""
        return self.node.walk()

    def leaves(self) -> Iterator[Node]:
        """The nodes with a value: a file itself, else all files below it that were read."""
        return self.node.leaves()


@dataclass(frozen=True, slots=True)
class Ack:
    """A write that succeeded without its nodes being sent back (no_value_on_success=True)."""

    action: str
    """As that of a `Response`."""
    index: int
    """The new node's modified index."""
    raft_index: int
    """X-Raft-Index: how far the member's raft log was, which v3 moves as well."""
    raft_term: int
    """X-Raft-Term: grows with each election."""
    cluster_id: str
    """X-Etcd-Cluster-Id."""


@dataclass(frozen=True, slots=True)
class Event(Generic[V]):
    """One change that a watcher saw."""

    action: str
    """`set`, `create`, `update`, `compareAndSwap`, `delete`, `compareAndDelete` or `expire`."""
    node: Node
    """What is there now; of a deletion without a value."""
    prev_node: Node | None
    """What was there before; None where nothing was."""
    value: V | None
    """The new value, None for directories and deletions."""
    ancestor: bool = False
    """Whether the node is a directory above, whose deletion or expiry took the watched key along."""

    @property
    def key(self) -> str:
        """The changed key: the watched one, one below it, or (`ancestor`) one above it."""
        return self.node.key

    @property
    def index(self) -> int:
        """The modified index of the change: watch with `after_index=` this to see what came later."""
        return self.node.modified_index

    @property
    def deleted(self) -> bool:
        """Whether the node is gone: `delete`, `compareAndDelete` or `expire`."""
        return self.action in ("delete", "compareAndDelete", "expire")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of what is watched, as read at one moment. The events that follow go on from it."""

    node: Node | None
    """The watched key with everything below it; None where it is not there."""
    index: int
    """The store's index then: the events that follow are later."""

    def leaves(self) -> Iterator[Node]:
        """All files in it."""
        return iter(()) if self.node is None else self.node.leaves()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `keys.resolve` found out about a write whose answer was lost."""

    state: Literal["applied", "not applied", "unknown"]
    """"not applied" is as of `index`; "unknown" when it cannot be known."""
    final: bool
    """Whether it stays so. Where not, a member that was cut off can still apply the write later."""
    index: int
    """For "applied" the write's modified index, else the store's index at which this was so."""
    node: Node | None
    """What it wrote, for "applied"."""
    reason: str
    """Why, for people."""


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What one endpoint answered to `health()` or `ready()`, or why it did not."""

    endpoint: str
    """Its URL."""
    healthy: bool
    """What was asked about it is so: see `ClusterHealth` and `Readiness`."""
    reason: str
    """Empty when healthy."""
    elapsed: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """What all members say of themselves at /health: whether they see a leader, and have no alarm.

    That is not whether this client can work; `Readiness` is.
    """

    endpoints: tuple[EndpointHealth, ...]
    """One for each that was asked."""

    @property
    def healthy(self) -> bool:
        """At least one endpoint says that it is."""
        return any(one.healthy for one in self.endpoints)

    @property
    def degraded(self) -> bool:
        """Healthy, but some endpoint is not."""
        return self.healthy and not all(one.healthy for one in self.endpoints)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a client can work now, as `client.ready()` found out. True where it can."""

    ready: bool
    """An endpoint serves the v2 API and sees a leader (and lets this client read the key)."""
    endpoints: tuple[EndpointHealth, ...]
    """Those that had answered by then; all of them where it is not ready."""

    def __bool__(self) -> bool:
        return self.ready

    @property
    def reason(self) -> str:
        """Why not, for each endpoint; "" when ready."""
        return "" if self.ready else "; ".join(f"{one.endpoint}: {one.reason}" for one in self.endpoints)
