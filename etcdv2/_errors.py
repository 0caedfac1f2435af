"""The error tree, and which class an etcd error code or an HTTP status has.

Two families: nobody gave a usable answer, and an answer that says no (`ApiError`). Knows nothing of retries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from etcdv2._results import Response
    from etcdv2_api import Call


class Attempt(NamedTuple):
    """One try of a call at one endpoint, as errors list it."""

    endpoint: str
    phase: str
    """`pool`, `connect`, `send`, `wait` (for the answer to begin), `read`, or `answer` when there was one."""
    cause: str
    elapsed: float
    """Seconds."""
    status: int | None = None

    def __str__(self) -> str:
        where = "" if self.phase == "answer" else f"{self.phase}, "
        return f"{self.endpoint}: {self.cause} ({where}{self.elapsed:.2f} s)"


def _restore(kind: type[EtcdError], args: tuple[object, ...], state: dict[str, Any]) -> EtcdError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class EtcdError(Exception):
    """Every error of this library except ValueError and TypeError for a caller's mistakes. All of them pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class ClusterUnavailable(EtcdError):
    """No endpoint gave a usable answer, and no write was applied."""

    attempts: Sequence[Attempt]

    def __init__(self, reason: str, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.attempts = tuple(attempts)

    def __str__(self) -> str:
        return self.reason + _listed(self.attempts)


class DeadlineExceeded(ClusterUnavailable, TimeoutError):
    """The total time ran out before any endpoint gave a usable answer; no write was applied."""


class OutcomeUnknown(EtcdError):
    """A write was sent and its answer lost: it was applied, was not, or still may be.

    A member that was cut off can apply the write later, so a read that does not show it proves nothing for good.
    `keys.resolve(error)` finds out what can be known.
    """

    def __init__(
        self,
        call: Call[Any, Any],
        endpoint: str,
        cause: str,
        attempts: Sequence[Attempt] = (),
        *,
        index: int = 0,
        cluster_id: str = "",
    ) -> None:
        super().__init__(cause)
        self.call = call.masked()
        self.endpoint = endpoint
        self.cause = cause
        self.attempts = tuple(attempts)
        self.index = index
        """The highest index of the store that the client had seen before it sent this: the write's own is higher."""
        self.cluster_id = cluster_id
        """The X-Etcd-Cluster-Id of the cluster that it was meant for, "" when that was not known yet."""

    def __str__(self) -> str:
        return (
            f"{self.call.method} {self.call.path} was sent to {self.endpoint}, its outcome is unknown: {self.cause}."
            " keys.resolve(error) finds out what can be known; repeat_writes=True where doing it twice does no harm"
        )


class OutcomeUnknownTimeout(OutcomeUnknown, TimeoutError):
    """`OutcomeUnknown` because the time ran out."""


class UnexpectedAnswer(EtcdError):
    """An answer that the description of the API does not have: a redirect, a proxy's page, a broken body."""

    def __init__(self, reason: str, *, status: int, content_type: str, body: bytes, endpoint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.content_type = content_type
        self.body = body[:512]
        """The first bytes, at most 512."""
        self.endpoint = endpoint

    def __str__(self) -> str:
        kind = self.content_type or "no content type"
        return f"{self.endpoint} answered {self.status} ({kind}): {self.reason}; the body begins {self.body[:80]!r}"


class V2ApiDisabled(EtcdError):
    """Every endpoint has its v2 API off, or does not have one any more."""

    def __init__(self, endpoints: Sequence[str], server_version: str | None = None) -> None:
        super().__init__(tuple(endpoints), server_version)
        self.endpoints = tuple(endpoints)
        self.server_version = server_version

    def __str__(self) -> str:
        version = f"etcd {self.server_version}" if self.server_version else "the server's version is not known"
        return (
            f"the v2 API is not served by {', '.join(self.endpoints)} ({version}): "
            "start etcd 3.4 or 3.5 with --enable-v2=true; etcd 3.6 and newer have no v2 API"
        )


class ClusterChanged(EtcdError):
    """The endpoints answer with another cluster id than before: the cluster was rebuilt, or is another one.

    Raised once; the client then goes on with the new cluster. Indexes of the old one mean nothing in the new one.
    """

    def __init__(self, old: str, new: str, endpoint: str, response: Response | None = None) -> None:
        super().__init__(old, new, endpoint)
        self.old = old
        self.new = new
        self.endpoint = endpoint
        self.response = response
        """The answer, when a write was applied in the other cluster."""

    def __str__(self) -> str:
        applied = "; the write was applied there" if self.response is not None else ""
        return f"{self.endpoint} belongs to cluster {self.new}, this client talked to cluster {self.old}{applied}"


class StaleRead(EtcdError):
    """No member has caught up with what this client has already seen (consistency="session")."""

    def __init__(self, wanted: int, found: int, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(wanted, found)
        self.wanted = wanted
        self.found = found
        self.attempts = tuple(attempts)

    def __str__(self) -> str:
        return f"this client has seen index {self.wanted}, no endpoint is further than {self.found}" + _listed(
            self.attempts
        )


class ApiError(EtcdError):
    """etcd's answer says no. `code` is etcd's error code, 0 where the answer has none (members, auth)."""

    def __init__(
        self, message: str, *, code: int = 0, cause: str = "", index: int = 0, status: int = 0, endpoint: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.cause = cause
        """What the server adds, mostly a path. Its text is for people, not for programs."""
        self.index = index
        """The store's index, 0 for errors about parameters or rights."""
        self.status = status
        """HTTP status, 0 when found out locally."""
        self.endpoint = endpoint

    def __str__(self) -> str:
        cause = f": {self.cause}" if self.cause else ""
        known = [f"code {self.code}" if self.code else "", f"status {self.status}" if self.status else ""]
        known += [f"index {self.index}" if self.index else "", f"at {self.endpoint}" if self.endpoint else ""]
        return f"{self.message}{cause} ({', '.join(filter(None, known)) or 'found locally'})"


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
    """110 or HTTP 401: user unknown, wrong password, or missing right; the server does not say which."""


class InvalidRequest(ApiError):
    """200 to 299: the server refuses a parameter."""


class RaftInternal(ApiError):
    """300. On 3.5 also the answer to changing a directory's TTL, which those servers cannot do."""


class LeaderElection(ApiError):
    """301: no leader yet."""


class WatcherCleared(ApiError):
    """400: the watcher was cleared by a recovery of the server (2.0 only)."""


class HistoryCleared(ApiError):
    """401: the server no longer has the events asked for (it keeps 1,000 of the whole store).

    Read the state anew and watch from that response's `index` on.
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


def _listed(attempts: Sequence[Attempt]) -> str:
    if not attempts:
        return ""
    lines: dict[tuple[str, str, str], list[Attempt]] = {}
    for attempt in attempts:
        lines.setdefault((attempt.endpoint, attempt.phase, attempt.cause), []).append(attempt)
    shown = [str(same[0]) + (f" x{len(same)}" if len(same) > 1 else "") for same in lines.values()]
    return f" [{len(attempts)} attempts: {'; '.join(shown)}]"
