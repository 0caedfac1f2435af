"""Answers that say no, and the root of all errors: which class an error code or a status has.

    EtcdError
    |- ClusterUnavailable, OutcomeUnknown, ...    nobody gave a usable answer: `call_errors`
    '- ApiError          etcd's answer says no: .code .message .cause .index .status .endpoint
       |- KeyNotFound    100 (also LookupError)      |- RaftInternal     300 (DirectoryTTL: of a directory, on 3.5)
       |- CompareFailed  101                         |- LeaderElection   301
       |- NotFile        102                         |- WatcherCleared   400
       |- NotDir         104                         |- HistoryCleared   401
       |- KeyExists      105                         |- InvalidRequest   200 to 299
       |- RootReadOnly   107                         |  members and auth, by HTTP status:
       |- DirNotEmpty    108                         |- BadRequest 400, NotFound 404, Conflict 409, Gone 410
       '- Unauthorized   110, and HTTP 401

A text quotes no more than can be read; the attributes are whole. Knows nothing of retries.
`results` imports it, so it imports nothing of this room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etcdv2_api.call import shortened


def _restore(kind: type[EtcdError], args: tuple[object, ...], state: dict[str, Any]) -> EtcdError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class EtcdError(Exception):
    """Every error of this library but ValueError and TypeError, a caller's mistakes. All pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class ApiError(EtcdError):
    """etcd's answer says no. Which class it has goes by etcd's error code or the HTTP status."""

    def __init__(
        self, message: str, *, code: int = 0, cause: str = "", index: int = 0, status: int = 0, endpoint: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        """etcd's error code, 0 where the answer has none (members, auth)."""
        self.message = message
        """etcd's words for the error code, or those of the answer."""
        self.cause = cause
        """What the server adds, mostly a path. Its text is for people, not for programs."""
        self.index = index
        """The store's index, 0 for errors about parameters or rights."""
        self.status = status
        """HTTP status, 0 when found out locally."""
        self.endpoint = endpoint
        """The URL of the endpoint that answered, "" when found out locally."""

    def __str__(self) -> str:
        cause = f": {shortened(self.cause)}" if self.cause else ""
        known = [f"code {self.code}" if self.code else "", f"status {self.status}" if self.status else ""]
        known += [f"index {self.index}" if self.index else "", f"at {self.endpoint}" if self.endpoint else ""]
        return f"{shortened(self.message)}{cause} ({', '.join(filter(None, known)) or 'found locally'})"


class KeyNotFound(ApiError, LookupError):
    """100. `cause` is the first missing path, which may be an ancestor of the key."""


class CompareFailed(ApiError):
    """101: prev_value or prev_index is not what the server has."""


class NotFile(ApiError):
    """102: a directory where a file is needed."""


class NotDir(ApiError):
    """104: a file where a directory is needed."""


class KeyExists(ApiError):
    """105: create found the key there."""


class RootReadOnly(ApiError):
    """107: the root cannot be written."""


class DirNotEmpty(ApiError):
    """108: the directory has children (perhaps hidden ones); delete it with recursive=True."""


class Unauthorized(ApiError):
    """110 or HTTP 401: unknown user, wrong password, or missing right; the server does not say."""


class InvalidRequest(ApiError):
    """200 to 299: the server refuses a parameter."""


class RaftInternal(ApiError):
    """300: the server's raft could not do it."""


class DirectoryTTL(RaftInternal):
    """300: etcd 3.5 cannot change the TTL of a directory that is there; nothing was done.

    3.4 can. Instead give the directory its TTL when it is made, or a TTL to each key in it.
    """

    def __str__(self) -> str:
        return f"{super().__str__()}: etcd 3.5 cannot change the TTL of a directory, which stays as it was"


class LeaderElection(ApiError):
    """301: no leader yet."""


class WatcherCleared(ApiError):
    """400: the watcher was cleared by a recovery of the server (2.0 only)."""


class HistoryCleared(ApiError):
    """401: the server no longer has the events asked for (it keeps 1,000 of the whole store).

    Read the state again and watch from that response's `index` on.
    """


class NotFound(ApiError):
    """HTTP 404 for a member, user or role."""


class Conflict(ApiError):
    """HTTP 409 for a member, user or role."""


class Gone(ApiError):
    """HTTP 410: the member was removed for good."""


class BadRequest(ApiError):
    """HTTP 400 for a member, user or role."""


_BY_CODE: Mapping[int, type[ApiError]] = {
    100: KeyNotFound,
    101: CompareFailed,
    102: NotFile,
    104: NotDir,
    105: KeyExists,
    107: RootReadOnly,
    108: DirNotEmpty,
    110: Unauthorized,
    300: RaftInternal,
    301: LeaderElection,
    400: WatcherCleared,
    401: HistoryCleared,
}
_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    404: NotFound,
    409: Conflict,
    410: Gone,
}


def class_of(code: int, status: int) -> type[ApiError]:
    """The class for an etcd error code, or for the status where there is no code."""
    if code == 0:
        return _BY_STATUS.get(status, ApiError)
    return _BY_CODE.get(code, InvalidRequest if 200 <= code < 300 else ApiError)
