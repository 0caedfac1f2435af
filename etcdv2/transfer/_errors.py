"""What goes wrong with files: errors that say where and why.

Owns their texts. What the v2 store refuses are the errors of the client, which `_store` raises.
"""

from __future__ import annotations

from pathlib import Path

from etcdv2 import EtcdError


class TransferError(EtcdError):
    """Every error of `etcdv2.transfer` that is no answer of etcd and no mistake of the caller."""


class DamagedFile(TransferError):
    """A file is not what it should be: cut off, with wrong bytes, or of another kind."""

    def __init__(self, path: Path | str, reason: str, *, offset: int | None = None) -> None:
        super().__init__(str(path), reason, offset)
        self.path = Path(path)
        """The file; the data directory where an entry of the log cannot be read."""
        self.reason = reason
        """What is wrong with it, for people."""
        self.offset = offset
        """Where in the file, in bytes; None where it is not one place."""

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at byte {self.offset}"
        return f"{self.path}{where}: {self.reason}"


class NoDataDirectory(TransferError):
    """There is no write-ahead log of an etcd member at this place."""
