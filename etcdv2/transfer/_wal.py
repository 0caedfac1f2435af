"""The files of a write-ahead log: frames, their checksums, and where a log ends.

Owns the format of `server/wal` (spec/protocol.md section 19.1), which 2.x to 3.6 share. Yields raft's
entries as bytes; what they mean is `_raftlog`'s.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from etcdv2.transfer._crc32c import Extend
from etcdv2.transfer._errors import DamagedFile
from etcdv2.transfer._protobuf import Fields, Malformed

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5
SECTOR = 512
YOUNG_NANOSECONDS = 1_000_000_000
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")


@dataclass(frozen=True, slots=True)
class WalFile:
    """One file of the log, by its name."""

    path: Path
    sequence: int
    index: int
    """The raft index of the first entry in it, or one before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of raft's log."""

    index: int
    term: int
    kind: int
    """0 normal, 1 a change of members."""
    data: bytes


@dataclass(slots=True)
class WalContents:
    """What a log holds from one index on."""

    member_id: int = 0
    cluster_id: int = 0
    term: int = 0
    commit: int = 0
    """The index up to which entries are committed, as the member noted it last."""
    snapshots: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """(index, term) of the snapshots that the log names."""
    entries: list[Entry] = field(default_factory=list[Entry])
    """Without gaps. An entry that another leader overwrote is not among them."""
    torn: str = ""
    """Where the last record was being written when the member ended, or was read; etcd goes on before it."""


def wal_files(folder: Path) -> list[WalFile]:
    """The files of the log in order, from the first one that the later ones follow without a gap."""
    found: list[WalFile] = []
    for path in folder.glob("*.wal"):
        if name := _NAME.fullmatch(path.name):
            found.append(WalFile(path, int(name[1], 16), int(name[2], 16)))
    found.sort(key=lambda file: file.sequence)
    for at in range(len(found) - 1, 0, -1):
        if found[at].sequence != found[at - 1].sequence + 1:
            return found[at:]
    return found


def read_wal(files: Sequence[WalFile], after: int, extend: Extend | None, into: WalContents) -> None:
    """Reads these files, keeping the entries behind the raft index `after`.

    `into` has what was read before whatever is raised. extend: the checksum; None leaves it out.
    Raises DamagedFile, and OSError where a file cannot be read.
    """
    metadata: bytes | None = None
    reader = _Reader(extend)
    for number, file in enumerate(files):
        for offset, kind, data in reader.records(file.path, last=number == len(files) - 1):
            try:
                if kind == METADATA:
                    if metadata not in (None, data):
                        raise Malformed("it names another member than before")
                    metadata = data
                _take(into, kind, data, after)
            except Malformed as error:
                raise DamagedFile(file.path, str(error), offset=offset) from None
    into.torn = reader.torn

    # An entry whose record was taken for another kind leaves this trace, where it was the last.
    last = into.entries[-1].index if into.entries else after
    if into.commit > last and files:
        reason = f"the log says that entry {into.commit} is committed, and ends at entry {last}"
        raise DamagedFile(files[-1].path, reason)


def _take(into: WalContents, kind: int, data: bytes, after: int) -> None:
    """Raises Malformed. The kind of a record is not in its checksum: what it holds has to fit."""
    fields = Fields(data)
    if kind == ENTRY:
        entry = Entry(fields.number(3), fields.number(2), fields.number(1), fields.raw(4))
        if entry.kind not in (0, 1) or (entry.kind == 1 and not entry.data):
            raise Malformed(f"entry {entry.index} is of no kind that is known")
        if entry.index <= after:
            return
        place = entry.index - after - 1
        if 0 < place <= len(into.entries) and into.entries[place - 1].term > entry.term:
            raise Malformed(f"entry {entry.index} is of an earlier term than the one before")
        if place > len(into.entries):
            raise Malformed(f"entry {entry.index} follows entry {after + len(into.entries)}")
        del into.entries[place:]
        into.entries.append(entry)
    elif kind == STATE:
        term, commit = fields.number(1), fields.number(3)
        if term < into.term or commit < into.commit or fields.has(4):
            raise Malformed("the member's term and commit index go back")
        into.term, into.commit = term, commit
    elif kind == SNAPSHOT:
        into.snapshots.add((fields.number(1), fields.number(2)))
    elif kind == METADATA:
        into.member_id, into.cluster_id = fields.number(1), fields.number(2)


class _Broken(Exception):
    """No record can be read here. torn: whether that is what a write leaves that did not end."""

    def __init__(self, reason: str, *, torn: bool) -> None:
        super().__init__(reason)
        self.torn = torn


class _Reader:
    """Records of all files, one after the other: the checksum goes on from file to file."""

    def __init__(self, extend: Extend | None) -> None:
        self._extend = extend
        self._crc: int | None = None
        self.torn = ""

    def records(self, path: Path, *, last: bool) -> Iterator[tuple[int, int, bytes]]:
        """(offset, kind, data) of each record. Raises DamagedFile."""
        offset = 0
        while True:
            with path.open("rb") as stream:
                written = path.stat().st_mtime_ns
                stream.seek(offset)
                try:
                    while found := self._next(stream, offset):
                        kind, data, following = found
                        if kind != CRC:
                            yield offset, kind, data
                        offset = following
                    return
                except _Broken as broken:
                    # A running member may be writing this very record.
                    if last and _was_written_since(path, written):
                        continue
                    if not (last and broken.torn):
                        raise DamagedFile(path, str(broken), offset=offset) from None
                    self.torn = f"{path} at byte {offset}: {broken}"
                    return

    def _next(self, stream: BufferedReader, offset: int) -> tuple[int, bytes, int] | None:
        """(kind, data, offset behind it); None at the end. Raises _Broken."""
        # 1. The length, which is 0 from where nothing has been written on.
        header = stream.read(8)
        if len(header) < 8 or not any(header):
            self._check_end(stream, header)
            return None
        length = int.from_bytes(header, "little")
        size = length & (1 << 56) - 1
        padding = length >> 56 & 7 if length >> 63 else 0

        # 2. The record. What is cut off at the very end was being written, unless others follow.
        data = stream.read(min(size + padding, os.fstat(stream.fileno()).st_size))
        if len(data) < size + padding:
            raise _Broken(f"a record of {size + padding} bytes is cut off", torn=not _has_records(data))
        try:
            record = Fields(data[:size])
            crc = self._checked(record)
        except Malformed as error:
            raise _Broken(str(error), torn=_looks_torn(data, offset + 8)) from None
        self._crc = crc
        return record.signed(1), record.raw(3), offset + 8 + size + padding

    def _checked(self, record: Fields) -> int:
        """The checksum after this record. Raises Malformed."""
        kind, crc, data = record.signed(1), record.number(2), record.raw(3)
        if kind == CRC:
            if data or (self._extend is not None and self._crc not in (None, crc)):
                raise Malformed("the checksum is not that of the file before")
            return crc
        if not METADATA <= kind <= SNAPSHOT:
            raise Malformed(f"a record has the type {kind}")
        if self._crc is None:
            raise Malformed("the file does not begin with a checksum")
        if self._extend is not None and self._extend(self._crc, data) != crc:
            raise Malformed("the checksum is wrong")
        return crc

    def _check_end(self, stream: BufferedReader, header: bytes) -> None:
        """Behind the last record are zeros only."""
        if any(header):
            raise _Broken("the length of a record is cut off", torn=True)
        while chunk := stream.read(1 << 20):
            if chunk.count(0) != len(chunk):  # any(chunk) takes a second for the 64 MiB that etcd reserves
                raise _Broken("there are bytes behind the end of the log", torn=not _has_records(chunk))


def _was_written_since(path: Path, written: int) -> bool:
    """Whether another look is worth it. Waits for a write that may be under way."""
    if time.time_ns() - written < YOUNG_NANOSECONDS:
        time.sleep(0.02)
    return path.stat().st_mtime_ns != written


def _has_records(data: bytes) -> bool:
    """Whether whole records follow: then a length is wrong, and not the end of the log torn.

    Each begins at a multiple of 8 bytes. Looks no further than 1 MiB.
    """
    for at in range(0, min(len(data) - 8, 1 << 20), 8):
        length = int.from_bytes(data[at : at + 8], "little")
        size = length & (1 << 56) - 1
        if not 0 < size <= len(data) - at - 8:
            continue
        try:
            record = Fields(data[at + 8 : at + 8 + size])
        except Malformed:
            continue
        if METADATA <= record.signed(1) <= SNAPSHOT and record.number(2):
            return True
    return False


def _looks_torn(data: bytes, offset: int) -> bool:
    """Whether a whole sector of the record was never written, which is what etcd takes for a torn write."""
    at = 0
    while at < len(data):
        size = min(SECTOR - (offset + at) % SECTOR, len(data) - at)
        if not any(data[at : at + size]):
            return True
        at += size
    return False
