"""The seam between the facade and what moves bytes: requests, replies, streams, failures.

Owns the contract every transport keeps. Does no I/O itself and knows no HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal, NamedTuple, Protocol

from etcdv2._core.deadline import Deadline
from etcdv2._core.endpoints import Endpoint
from etcdv2_api.call import shortened

CLUSTER_ID = "x-etcd-cluster-id"
"""The header that names the cluster, in lower case as replies have their headers."""

MAX_REQUEST_LINE = 4096
"""Bytes of the first request line on a plaintext connection, CRLF included; more is reset
unanswered (3.3 to 3.5).
"""

MAX_HEAD = 1_052_672
"""Bytes of a request up to its body, which Go's server takes; more is answered 431 before anybody
acts on it (3.4 and 3.5, spec/protocol.md section 14).
"""

Headers = tuple[tuple[str, str], ...]


class Request(NamedTuple):
    """One HTTP/1.1 request.

    `Host`, `Content-Length` and `Accept-Encoding: identity` are the transport's to add.
    """

    method: str
    target: str
    """Path and query, percent-encoded ASCII, beginning with a slash; the endpoint's prefix is not
    part of it.
    """
    headers: Headers
    """The client's own (User-Agent, Authorization): one object for many calls, so a transport may
    cache by identity.
    """
    content_type: str | None = None
    body: bytes = b""
    cluster_id: str = ""
    """For a read: the X-Etcd-Cluster-Id to expect.

    The body of an answer with another one is not waited for.
    """
    greeting: str = ""
    """For `open`: a target to GET before, once on each connection; its answer stays with the
    connection.
    """

    def __repr__(self) -> str:
        return f"<Request {self.method} {shortened(self.target)}>"  # headers and body can hold a password


class Limits(NamedTuple):
    """How long one attempt may take. `None` means no limit."""

    connect: float | None
    """Seconds to connect (name look-up, TCP, TLS)."""
    answer: float | None
    """Seconds from the start of the attempt until the answer begins, and then for each silence
    within it.
    """
    deadline: Deadline
    """When all ends, whatever arrives."""


class Reply(NamedTuple):
    """A whole answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Sent(Enum):
    """How much of a request had been given to the kernel when it failed."""

    NOTHING = "nothing"
    PART = "a part"
    WHOLE = "the whole request"


Phase = Literal["pool", "connect", "send", "wait", "read"]


class TransportFailure(Exception):
    """An attempt that ended without a whole answer.

    The transport's own exception is its `__cause__`.

    `phase`: waiting for a free connection, connecting, sending, waiting for the answer to begin,
    reading it. `sent`: what a retry rule needs. `WHOLE` unless less is certain. `timed_out`: a
    limit was reached. `aborted`: `abort()` or `close()` did it.
    """

    def __init__(
        self, reason: str, phase: Phase, sent: Sent, *, timed_out: bool = False, aborted: bool = False
    ) -> None:
        super().__init__(reason, phase, sent)
        self.reason = reason
        self.phase: Phase = phase
        self.sent = sent
        self.timed_out = timed_out
        self.aborted = aborted

    def __str__(self) -> str:
        return self.reason


class AsyncStream(Protocol):
    """An answer whose body is still arriving."""

    @property
    def keeps_time(self) -> bool:
        """Whether `read` returns when its `timeout` is over; else only `abort` ends a wait."""
        ...

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def greeting(self) -> bytes:
        """The body of the 200 that this connection gave to the request's `greeting`; empty where
        there is none.
        """
        ...

    async def read(self, timeout: float | None = None) -> bytes | None:
        """The next bytes of the body, `b""` at its proper end, `None` when nothing came within
        `timeout` seconds.

        After `None` the stream goes on as if nothing had been asked. A body cut short raises
        TransportFailure.
        """
        ...

    def abort(self) -> None:
        """End it now. Safe from any thread, any number of times.

        A `read` under way gives what had come before, then fails as aborted. After `close` it does
        nothing.
        """
        ...

    def half_close(self) -> bool:
        """Close the sending half: etcd then ends the body properly, behind all that it has sent.

        Reading goes on.

        Safe from any thread. False where that cannot be done; True does not say that the peer
        answers to it.
        """
        ...

    async def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        ...


class AsyncTransport(Protocol):
    """Moves requests. One object serves all endpoints and any number of tasks."""

    async def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply:
        """Send and read the whole answer.

        Raises TransportFailure; cancellation never leaves a half-read connection.
        """
        ...

    async def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> AsyncStream:
        """Send and return when the answer's headers are there; `limits` end with that.

        Not counted against the connection limit.
        """
        ...

    async def close(self) -> None:
        """Close every connection; calls under way fail with TransportFailure(aborted)."""
        ...


class Stream(Protocol):
    """`AsyncStream`, blocking."""

    @property
    def keeps_time(self) -> bool: ...
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def greeting(self) -> bytes: ...

    def read(self, timeout: float | None = None) -> bytes | None: ...

    def abort(self) -> None: ...

    def half_close(self) -> bool: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """`AsyncTransport`, blocking. One object serves all endpoints and any number of threads."""

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Reply: ...

    def open(self, endpoint: Endpoint, request: Request, limits: Limits) -> Stream: ...

    def close(self) -> None: ...
