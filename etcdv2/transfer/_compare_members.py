"""Data directories of several members of one cluster: which is ahead, and whether they hold the same.

Owns at which entry of the log two members can be compared: one may be behind the other, and that is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from etcdv2.transfer._compare import Difference, compare
from etcdv2.transfer._data_directory import DataDirectory, MemberState
from etcdv2.transfer._errors import TransferError
from etcdv2.transfer._tree import Tree, tree_of_store


@dataclass(frozen=True, slots=True)
class MemberComparison:
    """A member's directory beside that of the newest one."""

    directory: DataDirectory
    """The one that was compared with the newest."""
    state: MemberState
    """What it holds, read to its own end and not only to entry `at`."""
    behind: int
    """So many entries of the log the newest has, and this one does not have yet."""
    at: int | None
    """After which entry both were compared; None where the files of one do not reach back to the other."""
    differences: tuple[Difference, ...]
    """Of keys, from the newest to this one; indexes and moments of expiry count."""
    auth_equal: bool
    """Whether users and roles are the same, the hashes of passwords included."""

    @property
    def equal(self) -> bool:
        """Whether this member held the same as the newest one, when it was where this one is."""
        return self.at is not None and not self.differences and self.auth_equal

    def __str__(self) -> str:
        where = f"{self.directory.path}: {self.behind} entries behind"
        if self.at is None:
            return f"{where}, cannot be compared: the files do not reach back to one entry of both"
        if self.equal:
            return f"{where}, the same at entry {self.at}"
        lines = [f"  {one}" for one in self.differences] + ([] if self.auth_equal else ["  other users or roles"])
        return "\n".join([f"{where}, differs at entry {self.at}:", *lines])


@dataclass(frozen=True, slots=True)
class MembersCompared:
    """The data directories of members of one cluster."""

    newest: DataDirectory
    """Whose log is of the highest term, and goes furthest in it: the one to read."""
    state: MemberState
    """What the newest one holds."""
    others: tuple[MemberComparison, ...]
    """All but the newest, in the order in which they were given; empty where it is alone."""

    @property
    def equal(self) -> bool:
        """Whether all of them held the same, each at its own entry."""
        return all(one.equal for one in self.others)

    def __str__(self) -> str:
        newest = f"{self.newest.path}: the newest, read to entry {self.state.raft_index}"
        return "\n".join([newest, *map(str, self.others)])


def compare_members(directories: Iterable[DataDirectory]) -> MembersCompared:
    """Read the directories of members of one cluster, and compare each with the newest one.

    Two are compared after the last entry that both have. Where one has lost bytes to a snapshot
    (`DumpNode.damaged`), it equals one of which a snapshot would hold the same.

    Raises ValueError without any directory, TransferError where they are not of one cluster or two are of one
    member, and what `DataDirectory.read` raises.
    """
    read = [(directory, directory.read()) for directory in directories]
    if not read:
        raise ValueError("no data directory was given")
    _check(read)

    newest, state = max(read, key=lambda one: (one[1].term, one[1].raft_index, one[1].last_index))
    others = [_compared(newest, state, *one) for one in read if one[0] is not newest]
    return MembersCompared(newest, state, tuple(others))


def _check(read: list[tuple[DataDirectory, MemberState]]) -> None:
    first, state = read[0]
    seen: dict[str, DataDirectory] = {}
    for directory, other in read:
        if other.cluster_id != state.cluster_id:
            clusters = f"{state.cluster_id} and {other.cluster_id}"
            raise TransferError(f"{first.path} and {directory.path} are of two clusters: {clusters}")
        if other.member_id in seen:
            raise TransferError(
                f"{seen[other.member_id].path} and {directory.path} are of one member: {other.member_id}"
            )
        seen[other.member_id] = directory


def _compared(
    newest: DataDirectory, state: MemberState, directory: DataDirectory, other: MemberState
) -> MemberComparison:
    behind = max(0, state.raft_index - other.raft_index)
    at = min(state.raft_index, other.raft_index)
    try:
        before = _tree(state if state.raft_index == at else newest.read(until=at))
        after = _tree(other if other.raft_index == at else directory.read(until=at))
    except TransferError:
        return MemberComparison(directory, other, behind, None, (), auth_equal=True)

    found = tuple(compare(before, after, indexes=True, within=0))
    auth_equal = (before.auth, before.auth_enabled) == (after.auth, after.auth_enabled)
    return MemberComparison(directory, other, behind, at, found, auth_equal)


def _tree(state: MemberState) -> Tree:
    return tree_of_store(state.store, made=0, source={}, auth=True, secrets=True)
