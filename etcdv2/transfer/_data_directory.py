"""A member's data directory: which snapshot and which files of the log make its v2 store.

Owns that choice, the replay, and what was met on the way. Writes nothing, and takes no lock: a member
may run beside it. Formats are in `_wal` and `_snapfile`, the rules of the store in `_store`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from etcdv2.transfer._crc32c import Extend, find_extend
from etcdv2.transfer._errors import DamagedFile, NoDataDirectory, TransferError
from etcdv2.transfer._members import VERSION_PATH, attributes_of, version_of
from etcdv2.transfer._protobuf import Malformed
from etcdv2.transfer._raftlog import Deed, MemberNews, carry_out, decode
from etcdv2.transfer._requests import StoreRequest
from etcdv2.transfer._snapfile import SnapFile, read_snap, snap_files, store_of
from etcdv2.transfer._store import V2Store
from etcdv2.transfer._tree import Tree, tree_of_store
from etcdv2.transfer._wal import WalContents, WalFile, read_wal, wal_files

LISTINGS = 5
"""How often the folders are listed again when a file went away meanwhile: a running member removes old ones."""


@dataclass(frozen=True, slots=True)
class RequestCount:
    """How many v2 requests of one method there are in a log, and where."""

    count: int
    """1 or more: a method of which there is none is left out."""
    first: int
    """The raft index of the first of them."""
    last: int
    """The raft index of the last of them; the same as `first` of one alone."""


@dataclass(frozen=True, slots=True)
class MemberState:
    """What a data directory holds."""

    store: V2Store
    """The v2 store after the entry `raft_index`."""
    member_id: str
    """Hex without leading zeros, as etcd shows it; "0" where the log does not say."""
    cluster_id: str
    """Hex without leading zeros; "0" where the log does not say."""
    term: int
    """Raft's term, as the member noted it last; 0 where the log does not say."""
    raft_index: int
    """The last entry that was applied. A member that runs may be ahead of it."""
    commit: int
    """The last entry that the member noted as committed."""
    last_index: int
    """The last entry of the log: those behind `commit` may yet be overwritten by another leader."""
    snapshot: Path | None
    """The snapshot from which was read; None where the whole log was."""
    snapshot_index: int
    """The raft index of the last entry that is in the snapshot; 0 without one."""
    requests: Mapping[str, RequestCount]
    """By method, the v2 requests behind the snapshot, committed or not; without members' own data."""
    notes: tuple[str, ...]
    """What was met on the way and is no error, for people."""
    damage: DamagedFile | None
    """What ended the reading early, with `keep_damaged=True`."""
    own: RequestCount | None
    """The v2 requests behind the snapshot by which members of 3.5 and before say who they are."""


class DataDirectory:
    """The data directory of a member, stopped or running: of etcd 2.3 to 3.5, and what 3.6 and 3.7 keep of v2.

    path: what `--data-dir` names, or the folder `member` in it.
    wal_dir: what `--wal-dir` names, where the log is elsewhere.
    check_crc: whether checksums are compared. Without `google-crc32c` or `crc32c` that takes about a
        third of a second for each MB.
    all_entries: whether entries count that the member had not noted as committed. A member that runs
        or was killed notes that late. Of a cluster of several, another leader may have overwritten
        them: it is for the rescue of the last member.
    keep_damaged: whether what came before the damage is returned, with `MemberState.damage`, where
        DamagedFile would be raised.
    etcd: the version whose rules replay the log, such as "3.4"; the cluster's own when None.

    `read` and `store` raise NoDataDirectory, DamagedFile, and OSError where a file cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        wal_dir: str | os.PathLike[str] | None = None,
        check_crc: bool = True,
        all_entries: bool = False,
        keep_damaged: bool = False,
        etcd: str | None = None,
    ) -> None:
        self.path = Path(path)
        """As it was given: what `--data-dir` names, or the folder `member` in it."""
        self.wal_dir = None if wal_dir is None else Path(wal_dir)
        """Where the log is; None for the folder `wal` beside the snapshots."""
        self._extend: Extend | None = find_extend() if check_crc else None
        self._all_entries = all_entries
        self._keep_damaged = keep_damaged
        self._etcd = etcd

    def __repr__(self) -> str:
        return f"DataDirectory({str(self.path)!r})"

    def store(self) -> V2Store:
        """The v2 store in it, hidden nodes, users and roles included."""
        return self.read().store

    def tree(self, root: str = "/", *, auth: bool = False, secrets: bool = False) -> Tree:
        """The keys at and below `root`, hidden ones included.

        auth: with users and roles. secrets: with the hashes of passwords; a dump of such a tree is
        readable for its owner alone. Raises KeyNotFound and NotDir for the root as well.
        """
        made = time.time_ns()
        state = self.read()
        source = {"kind": "data-dir", "cluster_id": state.cluster_id, "member_id": state.member_id}
        source |= {"raft_index": str(state.raft_index)}
        return tree_of_store(state.store, root=root, made=made, source=source, auth=auth, secrets=secrets)

    def read(self, *, until: int | None = None) -> MemberState:
        """The v2 store in it, and how it was found.

        until: the raft index of the last entry that counts, for a look at an earlier moment. Raises
            TransferError where no snapshot is that old, and the log does not begin with the first entry.
        """
        for left in reversed(range(LISTINGS)):
            try:
                return self._read(until)
            except FileNotFoundError:
                if not left:
                    raise
        raise AssertionError

    def _read(self, until: int | None) -> MemberState:
        member = self.path if (self.path / "wal").is_dir() else self.path / "member"
        files = wal_files(self.wal_dir or member / "wal")
        if not files:
            raise NoDataDirectory(f"{self.wal_dir or member / 'wal'} has no write-ahead log (*.wal)")

        # 1. The newest snapshot that can be read, and that the log knows to be committed.
        notes: list[str] = []
        for path in snap_files(member / "snap"):
            try:
                snap = read_snap(path, self._extend)
            except DamagedFile as error:
                notes.append(f"passed over: {error}")
                continue
            if until is not None and snap.index > until:
                continue
            log, damage = self._read_log(_from(files, snap.index), snap.index)
            if (snap.index, snap.term) in log.snapshots and (snap.index <= log.commit or damage is not None):
                return self._replay(snap, log, damage, notes, until)
            notes.append(f"passed over: {path}: the log does not name it")

        # 2. None: then the log has to begin with the first entry.
        if files[0].index > 0 and until is not None:
            raise TransferError(f"{self.path}: the files do not reach back to entry {until}")
        if files[0].index > 0:
            raise DamagedFile(files[0].path, f"the log begins behind entry {files[0].index}, and no snapshot is there")
        log, damage = self._read_log(files, 0)
        return self._replay(None, log, damage, notes, until)

    def _read_log(self, files: list[WalFile], after: int) -> tuple[WalContents, DamagedFile | None]:
        log = WalContents()
        try:
            read_wal(files, after, self._extend, log)
        except DamagedFile as error:
            if not self._keep_damaged:
                raise
            return log, error
        return log, None

    def _replay(
        self,
        snap: SnapFile | None,
        log: WalContents,
        damage: DamagedFile | None,
        notes: list[str],
        until: int | None,
    ) -> MemberState:
        start = 0 if snap is None else snap.index
        end = max(start, len(log.entries) + start if self._all_entries else log.commit)
        end = end if until is None else min(end, until)
        if log.torn:
            notes.append(f"the end of the log was not written in full: {log.torn}")

        # 1. What the entries say. One that says nothing sensible ends the replay before it.
        deeds: list[Deed] = []
        for entry in log.entries:
            try:
                deeds.append(decode(entry))
            except Malformed as error:
                damage = damage or DamagedFile(self.path, f"entry {entry.index} of the log: {error}")
                if not self._keep_damaged:
                    raise damage from None
                break
        end = min(end, start + len(deeds))

        # 2. The store before them, and after those that are committed.
        store = V2Store() if snap is None else store_of(snap)
        store.directory_ttl = self._directory_ttl(store, deeds)
        for deed in deeds[: end - start]:
            carry_out(store, deed)

        numbered = [(at, deed) for at, deed in enumerate(deeds, start + 1) if isinstance(deed, StoreRequest)]
        return MemberState(
            store,
            f"{log.member_id:x}",
            f"{log.cluster_id:x}",
            log.term,
            end,
            log.commit,
            start + len(log.entries),
            None if snap is None else snap.path,
            start,
            _counted(one for one in numbered if not _is_own(one[1])),
            tuple(notes),
            damage,
            _counted(one for one in numbered if _is_own(one[1])).get("PUT"),
        )

    def _directory_ttl(self, store: V2Store, deeds: list[Deed]) -> bool:
        """By the rules of the version that runs, which is at least the one that the cluster agreed upon."""
        if self._etcd is not None:
            return _number(self._etcd) < (3, 5)
        agreed = [version_of(store)]
        agreed += [deed.value for deed in deeds if isinstance(deed, StoreRequest) and deed.path == VERSION_PATH]
        agreed += [deed.text for deed in deeds if isinstance(deed, MemberNews) and deed.member is None]
        return max(map(_number, agreed)) < (3, 5)


def _from(files: list[WalFile], index: int) -> list[WalFile]:
    """The files that have what follows this entry."""
    begin = max((at for at, file in enumerate(files) if file.index <= index), default=0)
    return files[begin:]


def _number(version: str) -> tuple[int, ...]:
    """Of "3.5.0"; (0,) of "", which no cluster has agreed upon yet."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (0,)


def _is_own(request: StoreRequest) -> bool:
    """Whether it is what a member writes of itself, or of the cluster's version."""
    own = attributes_of(request.path) is not None or request.path == VERSION_PATH
    return request.method == "PUT" and own


def _counted(requests: Iterable[tuple[int, StoreRequest]]) -> dict[str, RequestCount]:
    """By method. `requests` have their raft indexes."""
    found: dict[str, RequestCount] = {}
    for index, request in requests:
        before = found.get(request.method)
        found[request.method] = (
            RequestCount(1, index, index) if before is None else RequestCount(before.count + 1, before.first, index)
        )
    return found
