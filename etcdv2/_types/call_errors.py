"""Errors of calls that nobody gave a usable answer to. What etcd itself refuses is in `api_errors`.

    EtcdError
    |- ClusterUnavailable          nobody answered; .attempts has each endpoint, phase, cause and time
    |  '- DeadlineExceeded         the total time ran out; also TimeoutError
    |- OutcomeUnknown              a write was sent and its answer lost; .call (secrets masked), .endpoint
    |  '- OutcomeUnknownTimeout    because the time ran out; also TimeoutError
    |- UnexpectedAnswer            not what the description says; .status, .content_type, .body (first bytes)
    |- V2ApiDisabled               no endpoint serves the v2 API; .server_version
    |- ClusterChanged              another X-Etcd-Cluster-Id than before; .response when a write was applied there;
    |                              or the same one with an older state, as after a restore
    |- ManyFailed                  of many writes some failed; .done, .failed, .not_begun
    |- StaleRead                   no member has what this client has already seen; .wanted, .found
    '- ApiError                    etcd's answer says no: `api_errors`

Knows nothing of retries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from etcdv2._types.api_errors import EtcdError
from etcdv2_api.call import shortened

if TYPE_CHECKING:
    from etcdv2._types.results import Response
    from etcdv2_api import Call


class Attempt(NamedTuple):
    """One try of a call at one endpoint, as errors list it."""

    endpoint: str
    """Its URL."""
    phase: str
    """`pool`, `connect`, `send`, `wait` (for the answer to begin), `read`; `answer` when it came."""
    cause: str
    """What went wrong, for people."""
    elapsed: float
    """Seconds."""
    status: int | None = None
    """HTTP status, None where no answer began."""

    def __str__(self) -> str:
        where = "" if self.phase == "answer" else f"{self.phase}, "
        return f"{self.endpoint}: {self.cause} ({where}{self.elapsed:.2f} s)"


_READ_AGAIN = {
    "/v2/members": "members.list()",
    "/v2/auth/users": "auth.users.get(name)",
    "/v2/auth/roles": "auth.roles.get(name)",
    "/v2/auth/enable": "auth.enabled()",
}
"""What shows the outcome of a change that is none of a key, by the path of the change."""


class ClusterUnavailable(EtcdError):
    """No endpoint gave a usable answer, and no write was applied."""

    attempts: Sequence[Attempt]
    """Every try, in order."""
    reason: str
    """The text without the tries."""

    def __init__(self, reason: str, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.attempts = tuple(attempts)

    def __str__(self) -> str:
        return self.reason + _listed(self.attempts)


class DeadlineExceeded(ClusterUnavailable, TimeoutError):
    """The total time ran out before any endpoint gave a usable answer. No write was applied."""


class OutcomeUnknown(EtcdError):
    """A write was sent and its answer lost: it was applied, was not, or still may be.

    A member that was cut off can apply the write later, so a read that does not show it proves
    nothing for good. `keys.resolve(error)` finds out what can be known of a write of a key; of a
    member, user or role, read it again.
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
        """The write, with secrets masked: `keys.resolve` takes it from here."""
        self.endpoint = endpoint
        """The URL of the endpoint that it was sent to."""
        self.cause = cause
        """Why there is no answer, for people."""
        self.attempts = tuple(attempts)
        """Every try of the call, in order."""
        self.index = index
        """The highest index of the store that the client had seen before: the write's is higher."""
        self.cluster_id = cluster_id
        """The X-Etcd-Cluster-Id of the cluster it was meant for, "" when not known yet."""

    def __str__(self) -> str:
        return (
            f"{self.call.method} {shortened(self.call.path)} was sent to {self.endpoint}, its outcome is unknown:"
            f" {self.cause}. {self._advice}"
        )

    @property
    def _advice(self) -> str:
        if self.call.path.startswith("/v2/keys"):
            return (
                "keys.resolve(error) finds out what can be known; repeat_writes=True where doing it twice does no harm"
            )
        how = _READ_AGAIN.get("/".join(self.call.path.split("/")[:4]), "")
        how = how or _READ_AGAIN.get("/".join(self.call.path.split("/")[:3]), "read what it changes")
        return f"{how} shows what became of it, as of then; send it again where it was not applied"


class OutcomeUnknownTimeout(OutcomeUnknown, TimeoutError):
    """`OutcomeUnknown` because the time ran out."""


class UnexpectedAnswer(EtcdError):
    """Not an answer of the described API: a redirect, a proxy's page, a broken body."""

    def __init__(self, reason: str, *, status: int, content_type: str, body: bytes, endpoint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """What is not as described."""
        self.status = status
        """HTTP status."""
        self.content_type = content_type
        """The header Content-Type, "" without one."""
        self.body = body[:512]
        """The first bytes, at most 512."""
        self.endpoint = endpoint
        """The URL of the endpoint that answered."""

    def __str__(self) -> str:
        kind = shortened(self.content_type) or "no content type"
        return f"{self.endpoint} answered {self.status} ({kind}): {self.reason}; the body begins {self.body[:80]!r}"


class V2ApiDisabled(EtcdError):
    """Every endpoint has its v2 API off, or is none: a peer port, a wrong path, another server."""

    def __init__(
        self,
        endpoints: Sequence[str],
        server_version: str | None = None,
        *,
        peer_of: Sequence[str] | None = None,
        path: str = "",
    ) -> None:
        super().__init__(tuple(endpoints), server_version)
        self.endpoints = tuple(endpoints)
        """The URLs of all that were asked."""
        self.server_version = server_version
        """None where /version was not answered as etcd does."""
        self.peer_of = None if peer_of is None else tuple(peer_of)
        """For a peer port, which is for other members: the client URLs that it names."""
        self.path = path
        """The path before `/v2` of an endpoint that does not answer as etcd does."""

    def __str__(self) -> str:
        version = f"etcd {self.server_version}" if self.server_version else "the server's version is not known"
        return f"the v2 API is not served by {', '.join(self.endpoints)} ({version}): {self._remedy()}"

    def _remedy(self) -> str:
        if self.peer_of is not None:
            urls = f": {', '.join(self.peer_of)}" if self.peer_of else ", mostly port 2379"
            return (
                f"this is a peer port, which answers /members and is for other members only; give the client URL{urls}"
            )
        if self.path:
            return (
                f"nothing of etcd was found below {self.path!r} there: is that path right, and does a proxy serve it?"
            )

        off = "start etcd 3.4 or 3.5 with --enable-v2=true; etcd 3.6 and newer have no v2 API"
        if self.server_version:
            return off
        return (
            "is it etcd's client port, and are all its paths there? /version was not answered as etcd does "
            f"(HTTP may be elsewhere, by --listen-client-http-urls). Else {off}"
        )


class ClusterChanged(EtcdError):
    """The endpoints answer with another cluster id than before: it was rebuilt, or is another one.

    A session read raises it also for the same id, `old` and `new` being equal, when the quorum has
    an older state than this client has seen: the store was put back, as from a backup.

    Raised once; the client then goes on with the new cluster, or the store as it is. Indexes of the
    old one mean nothing in the new one: read again what is derived from earlier answers.
    """

    def __init__(
        self, old: str, new: str, endpoint: str, response: Response | None = None, *, put_back: str = ""
    ) -> None:
        super().__init__(old, new, endpoint)
        self.old = old
        """The X-Etcd-Cluster-Id of before."""
        self.new = new
        """That of now; the same one where the store was put back."""
        self.endpoint = endpoint
        """The URL of the endpoint that answered with it."""
        self.response = response
        """The answer, when a write was applied in the other cluster."""
        self.put_back = put_back
        """What shows that the store is an older one, "" for another cluster id."""

    def __str__(self) -> str:
        if self.put_back:
            return (
                f"the store of cluster {self.new} was put back to an older state, as from a backup: {self.put_back}."
                " What this client has read or written before may be gone, so read it again;"
                " the next call goes on with the store as it is"
            )
        applied = "; the write was applied there" if self.response is not None else ""
        return f"{self.endpoint} belongs to cluster {self.new}, this client talked to cluster {self.old}{applied}"


class StaleRead(EtcdError):
    """No member has caught up with what this client has already seen (consistency="session")."""

    def __init__(self, wanted: int, found: int, attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(wanted, found)
        self.wanted = wanted
        """The index of the store that this client has seen."""
        self.found = found
        """The highest index that an endpoint answered with."""
        self.attempts = tuple(attempts)
        """Every try, in order."""

    def __str__(self) -> str:
        return f"this client has seen index {self.wanted}, no endpoint is further than {self.found}" + _listed(
            self.attempts
        )


class ManyFailed(EtcdError):
    """Of many writes (`keys.set_many`) at least one failed; after that none was begun any more."""

    def __init__(self, done: Mapping[str, Response], failed: Mapping[str, EtcdError], not_begun: Sequence[str]) -> None:
        super().__init__(f"{len(failed)} failed")
        self.done = dict(done)
        """What was written, by key."""
        self.failed = dict(failed)
        """Why the others were not, or perhaps not (OutcomeUnknown), by key."""
        self.not_begun = tuple(not_begun)
        """The keys for which nothing was sent."""

    def __str__(self) -> str:
        key, error = next(iter(self.failed.items()))
        count = len(self.done) + len(self.failed) + len(self.not_begun)
        return (
            f"{len(self.failed)} of {count} writes failed, {len(self.done)} were done, {len(self.not_begun)} not begun;"
            f" {shortened(key)}: {error}"
        )


def _listed(attempts: Sequence[Attempt]) -> str:
    if not attempts:
        return ""
    lines: dict[tuple[str, str, str], list[Attempt]] = {}
    for attempt in attempts:
        lines.setdefault((attempt.endpoint, attempt.phase, attempt.cause), []).append(attempt)
    shown = [str(same[0]) + (f" x{len(same)}" if len(same) > 1 else "") for same in lines.values()]
    return f" [{len(attempts)} attempts: {'; '.join(shown)}]"
