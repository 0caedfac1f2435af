"""Whether a member, or a cluster, is ready for etcd 3.6, which has no v2.

Owns the rules (spec/protocol.md section 19.3) and what is said about each. A data directory shows all of it;
HTTP (`_async/check.py`) shows neither hidden nodes nor the log, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etcdv2.transfer._data_directory import DataDirectory, MemberState, RequestCount
from etcdv2.transfer._members import version_of
from etcdv2.transfer._snapfile import read_snap, store_of
from etcdv2.transfer._store import V2Store

RECIPE = (
    "1. On every member, one after the other: remove --enable-v2 (ETCD_ENABLE_V2) and restart it. "
    "Go on only when all of them run without it: health checks and quorum reads of one member that still has it "
    "write v2 requests into the log of all.",
    "2. On every member, one after the other: restart it with --snapshot-count=1, wait until it has written a snapshot "
    "(2 seconds), and restart it with the value from before.",
    "3. On every member: check its data directory again. When all are ready, --v2-deprecation=write-only starts, "
    "and so does etcd 3.6.",
    "4. Before etcd 3.7: with 3.6 on every member, let each make a snapshot once more as in step 2: 3.7 panics on what "
    "members of 3.5 wrote of themselves behind the last one.",
)
"""What an operator does after a purge."""


@dataclass(frozen=True, slots=True)
class DirectoryCheck:
    """What in a member's data directory stands between it and etcd 3.6."""

    path: Path
    """The data directory, as it was given."""
    snapshot: Path | None
    """The snapshot that etcd would start from; None where there is none: then the log begins with the first entry."""
    keys: tuple[str, ...]
    """The keys directly below the root in the snapshot that etcd sees, and that keep it from starting."""
    hidden: tuple[str, ...]
    """Hidden ones there. etcd does not see them: it starts, and they stay."""
    auth: bool
    """Whether there are users or roles in the snapshot."""
    auth_used: bool
    """Whether v2 auth was ever used: empty directories stay, and 3.5.1 to 3.5.21 and 3.6.0 to 3.6.2 will not start."""
    requests: Mapping[str, RequestCount]
    """The v2 requests behind the snapshot: on the first of them etcd 3.6 panics."""
    own: RequestCount | None
    """Those by which members of 3.5 and before say who they are: 3.6 lets them pass, 3.7 panics on these, too."""
    etcd: str
    """The version that all members of the cluster had at least, such as "3.5.0"; "" before they agreed on one."""

    @property
    def ready(self) -> bool:
        """For 3.6.3 and later, and `--v2-deprecation=write-only` of 3.5.22 and later."""
        return not (self.keys or self.auth or self.requests)

    @property
    def ready_for_earlier(self) -> bool:
        """For 3.6.0 to 3.6.2 as well, and `--v2-deprecation=write-only` of 3.5.1 to 3.5.21."""
        return self.ready and not self.auth_used

    @property
    def ready_for_3_7(self) -> bool:
        """For 3.7, whose way is over 3.6: also behind a snapshot that 3.6 has made."""
        return self.ready and self.own is None

    def __str__(self) -> str:
        lines: list[str] = []
        where = f"{self.path}: " + ("no snapshot" if self.snapshot is None else self.snapshot.name)
        if self.keys:
            lines.append(f"{where}: the v2 store has keys: {', '.join(self.keys)}")
        if self.auth:
            lines.append(f"{where}: the v2 store has users or roles")
        elif self.auth_used:
            lines.append(f"{where}: v2 auth was used: 3.5.1 to 3.5.21 and 3.6.0 to 3.6.2 will not start")
        if self.hidden:
            lines.append(f"{where}: the store has hidden keys, which etcd does not see: {', '.join(self.hidden)}")
        for method, found in self.requests.items():
            lines.append(
                f"{where}: {found.count} v2 requests {method} behind it, entries {found.first} to {found.last}"
            )
        if self.requests:
            lines.append(
                'etcd 3.6 would panic: "detected disallowed v2 WAL for stage --v2-deprecation=write-only". '
                "Start this member once with --snapshot-count=1 and without --enable-v2, then check again"
            )
        if self.own is not None and self.etcd.startswith("3.6."):
            lines.append(
                f"{where}: members of 3.5 said who they are behind it, entries {self.own.first} to {self.own.last}: "
                "etcd 3.7 would panic. Start this member once with --snapshot-count=1 before"
            )
        return "\n".join([*lines, "ready" if self.ready else "not ready"])


def check_directory(directory: DataDirectory) -> DirectoryCheck:
    """Look at a member's data directory; the member may run. Raises what `DataDirectory.read` raises."""
    state = directory.read()
    store = _at_snapshot(state)
    keys = [node for node in store.children("/1") if not node.name.startswith("_")]
    hidden = [
        node.path.removeprefix("/1")
        for node in store.walk("/1")
        if node.name.startswith("_") and "/_" not in node.path.removeprefix("/1").rpartition("/")[0]
    ]
    auth = {node.path for node in store.walk("/")} if state.snapshot is not None else set[str]()
    return DirectoryCheck(
        directory.path,
        state.snapshot,
        tuple(node.path.removeprefix("/1") for node in keys),
        tuple(hidden),
        any(path.startswith(("/2/users/", "/2/roles/")) for path in auth),
        any(path.startswith("/2/") for path in auth),
        state.requests,
        state.own,
        version_of(state.store),
    )


def _at_snapshot(state: MemberState) -> V2Store:
    """What etcd looks at when it starts: the snapshot, without what the log says behind it."""
    return V2Store() if state.snapshot is None else store_of(read_snap(state.snapshot, None))


@dataclass(frozen=True, slots=True)
class ClusterCheck:
    """What HTTP shows of a cluster on its way to 3.6."""

    etcd: str
    """The version of the member that answered; etcd's guide asks for 3.5.26 or later before 3.6."""
    nodes: int
    """How many keys and directories there are; hidden ones are not counted."""
    expiring: int
    """How many of them expire: the leader goes on writing v2 requests for them."""
    auth_used: bool | None
    """Whether there are users or roles other than root; None where the credentials do not suffice to see."""
    written: int
    """By how much the store's index grew while it was observed: somebody still writes."""

    unseen = ("hidden keys that were not named", "each member's log and snapshot: check its data directory")
    """What HTTP cannot show."""

    @property
    def empty(self) -> bool:
        """Whether nothing that HTTP shows is in the way."""
        return not (self.nodes or self.auth_used or self.written)
