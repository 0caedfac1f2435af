"""HTTP/1.1 as the transports need it, without I/O: requests to bytes, bytes to one answer at a
time.

Owns strictness (what is refused as an answer) and size limits; knows no socket, no time and nothing
of etcd.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import SimpleNamespace

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import CLUSTER_ID, MAX_HEAD, MAX_REQUEST_LINE, Headers, Reply, Request

DEFAULT_MAX_HEADER_BYTES = 65536
DEFAULT_MAX_BODY_BYTES = 1 << 30
_MANY_CHUNKS = 64
"""Pieces of a body, after which they are put together."""
NO_ANSWER = "the connection was closed without an answer"
OR_HTTPS = f"{NO_ANSWER}: is it https?"
"""To plain http, over a new connection: so do TLS servers as etcd's, and any that dies just then."""
_END = b""
"""A key in the raw headers from the end of an answer until anything else begins; no header is
called so.
"""


_HTTP2 = (
    "HTTP/2, as from a port that is for gRPC only: an etcd with --listen-client-http-urls serves HTTP at those URLs"
)


class BadAnswer(Exception):
    """What arrived is not an answer that can be trusted."""


class _Names(dict[bytes, str]):
    """Header names as sent -> lower-case text, "" for those that nobody asks for; remembered up to
    a bound.

    More than half of an answer's headers are such: the date, and three about other origins (seen on
    3.4 and 3.5).
    """

    def __missing__(self, raw: bytes) -> str:
        name = raw.decode("latin-1").lower()
        if name == "date" or name.startswith("access-control-"):
            name = ""
        if len(self) < 256 and len(raw) <= 64:
            self[raw] = name
        return name


_names = _Names()

_good_content_types: set[str] = set()
"""Found to be fit for a header, up to a bound: there are two that the client sends."""


def _check_content_type(content_type: str) -> None:
    """Raises ValueError; what is good is remembered."""
    check_header("Content-Type", content_type)
    if len(_good_content_types) < 16:
        _good_content_types.add(content_type)


class _Body:
    """The pieces of a body that have come and were not taken yet."""

    __slots__ = ("end", "joined", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.joined = 0
        """So many of them, from the first on, were put together already."""
        self.end = 0
        """When the answer is whole: how many belong to it.

        Whatever comes behind it adds to the list, too.
        """

    def join(self) -> None:
        """Small chunks take many times their own size.

        What was joined is left alone: else it would be quadratic.
        """
        self.pieces[self.joined :] = [b"".join(self.pieces[self.joined :])]
        self.joined = len(self.pieces)


class AnswerReader:
    """Reads the answers of one connection, one after the other.

    `begin()` before each; then `feed()` until `done`.

    Half of the parser's callbacks are methods of a dict and a list: that costs no Python frame per
    header.
    """

    __slots__ = (
        "_answers",
        "_body",
        "_fed",
        "_foreign",
        "_max_body",
        "_max_head",
        "_parser",
        "_plain",
        "_raw",
        "_soft_limit",
        "_until_eof",
        "done",
        "fault",
        "head_done",
        "headers",
        "reusable",
        "status",
        "streaming",
    )

    def __init__(self, max_header_bytes: int, max_body_bytes: int, *, plain: bool = False) -> None:
        """`plain`: not within TLS."""
        self._plain = plain
        self._answers = -1
        """That were expected, after the `begin` below."""
        self._max_head = max_header_bytes
        self._max_body = max_body_bytes
        self._raw: dict[bytes, bytes] = {}
        self._body = _Body()
        self._foreign: BaseException | None = None
        """What was raised within a callback, so by a signal handler."""
        self._parser = HttpResponseParser(
            SimpleNamespace(
                on_message_begin=self._raw.clear,
                on_header=self._raw.__setitem__,
                on_headers_complete=self._callback(self._on_headers_complete),
                on_body=self._body.pieces.append,
                on_message_complete=self._callback(self._on_message_complete),
            )
        )
        self._until_eof = False
        self.begin()

    def __repr__(self) -> str:
        state = (
            "whole" if self.done else "headers" if self.head_done else f"{self._fed} bytes" if self._fed else "nothing"
        )
        return f"<AnswerReader: {state} of an answer{f' with status {self.status}' if self.head_done else ''}>"

    def begin(self, streaming: bool = False) -> None:
        """Expect a new answer.

        A `streaming` one may have a body of any size: whoever reads takes it away.
        """
        self.done = False
        self.head_done = False
        self.reusable = False
        self.streaming = streaming
        self.fault = ""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._fed = 0
        self._answers += 1
        self._soft_limit = self._max_head

        # Of a stream that was closed with its answer complete but not taken: never for the next caller.
        body = self._body
        body.pieces.clear()
        body.joined = body.end = 0

    @property
    def started(self) -> bool:
        """Whether any byte of the answer has come."""
        return self._fed > 0

    def feed(self, data: bytes | memoryview) -> None:
        """Take what came.

        Raises BadAnswer; whatever follows a complete answer only makes the connection unusable.
        """
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.done and self._foreign is None:
                first = self._fed == len(data)
                raise BadAnswer(
                    self.fault or (_HTTP2 if first and _is_http2(data) else f"not HTTP/1.1: {error}")
                ) from error
            self.reusable = False
        if self._foreign is not None:
            foreign, self._foreign = self._foreign, None
            raise foreign
        if self.fault:
            raise BadAnswer(self.fault)

        if self._fed > self._soft_limit:
            self._check_sizes()

        if self.done:
            # The mark of the end is gone when the parser has begun with something else.
            if _END not in self._raw:
                self.reusable = False
        elif len(self._body.pieces) - self._body.joined > _MANY_CHUNKS:
            self._body.join()

    def feed_eof(self) -> None:
        """The peer has ended the connection.

        Raises BadAnswer unless that ends the body properly.
        """
        if self._until_eof and self.head_done:
            self.done = True
            self._body.end = len(self._body.pieces)
        elif not self.done:
            if self._fed:
                raise BadAnswer("the answer was cut short")
            raise BadAnswer(OR_HTTPS if self._plain and self._answers == 1 else NO_ANSWER)

    def is_of_another(self, cluster_id: str) -> bool:
        """Whether the headers are there and name another cluster than this one ("": any will do)."""
        return bool(cluster_id) and self.head_done and self.headers.get(CLUSTER_ID, cluster_id) != cluster_id

    def take(self) -> bytes:
        """The body that has come and was not taken yet."""
        body = self._body
        pieces = body.pieces
        if self.done:
            del pieces[body.end :]
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        body.joined = body.end = 0
        return taken

    def reply(self) -> Reply:
        return Reply(self.status, self.headers, self.take())

    # -- what the parser calls -----------------------------------------------------------------------------------

    def _callback(self, work: Callable[[], None]) -> Callable[[], None]:
        """That work, for the parser: what a signal handler raises meanwhile is kept for `feed`.

        The parser takes whatever a callback raises for a fault of the answer, and may lose it. A
        function that begins can be interrupted before its `try`; a generator that is resumed cannot.
        """

        def body() -> Generator[None]:
            try:
                while True:
                    yield
                    work()
            except GeneratorExit:
                raise
            except BaseException as error:
                self._foreign = error
            yield

        resumed = body()
        next(resumed)
        return resumed.__next__

    def _on_headers_complete(self) -> None:
        if self.done:
            return

        # 1. Interim answers are passed over; 101 would change the protocol.
        parser = self._parser
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                self.fault = f"an answer with status {status}"
            return

        names = _names
        headers = {key: value.decode("latin-1") for name, value in self._raw.items() if (key := names[name])}
        self.status = status
        self.headers = headers
        self.reusable = parser.should_keep_alive()

        # 2. Where the body ends: by its length, by its last chunk, or with the connection.
        length = headers.get("content-length")
        self._until_eof = False
        if length is None:
            coding = headers.get("transfer-encoding")
            if coding is None:
                self._until_eof = True
            elif coding.strip().lower() != "chunked":
                self.fault = "an answer with a Transfer-Encoding that is not chunked"
        elif not self.streaming and int(length) > self._max_body:
            self.fault = f"an answer of {length} bytes; at most {self._max_body} are accepted"

        # 3. The request has said that it takes no coding of the content.
        coding = headers.get("content-encoding")
        if coding is not None and coding.strip().lower() not in ("", "identity"):
            self.fault = "an answer with a Content-Encoding, which was not asked for"
        self.head_done = not self.fault

    def _on_message_complete(self) -> None:
        if self.head_done and not self.done:
            self.done = True
            self._body.end = len(self._body.pieces)
            self._raw[_END] = b""

    def _check_sizes(self) -> None:
        head = sum(len(name) + len(value) + 4 for name, value in self._raw.items())
        if not self.head_done or head > self._max_head:
            raise BadAnswer(f"an answer with more than {self._max_head} bytes of headers")
        if self.streaming:
            self._soft_limit = self._fed + self._max_head
        elif self._fed > self._max_head + self._max_body:
            raise BadAnswer(f"an answer of more than {self._max_body} bytes")
        else:
            self._soft_limit = self._max_head + self._max_body


def _is_http2(data: bytes | memoryview) -> bool:
    """Whether an answer begins with HTTP/2's first frame: SETTINGS, of stream 0."""
    return len(data) >= 9 and data[0] == 0 and data[3] == 4 and not any(data[5:9])


class RequestEncoder:
    """Requests to one endpoint as bytes. What the client sends each time is put together once."""

    __slots__ = ("_endpoint", "_head", "_headers", "_prefix")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._prefix = endpoint.prefix
        self._headers: Headers | None = None
        self._head = ""

    def encode(self, request: Request) -> bytes:
        """Raises ValueError for what would not be one request with exactly these parts."""
        method, target, headers, content_type, body, _, _ = request
        if headers is not self._headers:
            self._remember(headers)

        # 1. The request line.
        if not target.isascii() or not target.isprintable() or " " in target or target[:1] != "/":
            raise ValueError(f"request target {target[:80]!r}: must be printable ASCII without spaces, from a slash on")
        start = f"{method} {self._prefix}{target}{self._head}"
        if method == "GET" and not body:
            return _within_limit(f"{start}\r\n".encode("latin-1"))
        if not method.isalpha() or not method.isascii() or method == "HEAD":
            raise ValueError(f"method {method!r}: cannot be sent")

        # 2. What depends on the body.
        if content_type is not None:
            if content_type not in _good_content_types:
                _check_content_type(content_type)
            start = f"{start}Content-Type: {content_type}\r\n"
        if body or method in ("PUT", "POST", "PATCH"):
            start = f"{start}Content-Length: {len(body)}\r\n"
        return _within_limit(f"{start}\r\n".encode("latin-1")) + body

    def needs_used_connection(self, request: Request) -> bool:
        """Whether a server would reset a fresh plaintext connection because of the length of the
        request line.
        """
        length = len(request.method) + len(self._prefix) + len(request.target) + len("  HTTP/1.1\r\n")
        return length > MAX_REQUEST_LINE and not self._endpoint.tls

    def warm_up(self) -> bytes:
        """A request that every server answers shortly."""
        return f"GET {self._prefix}/version{self._head}\r\n".encode("latin-1")

    def _remember(self, headers: Headers) -> None:
        lines = [" HTTP/1.1", f"Host: {self._endpoint.authority}", "Accept-Encoding: identity"]
        for name, value in headers:
            check_header(name, value)
            lines.append(f"{name}: {value}")
        head = "\r\n".join(lines) + "\r\n"
        head.encode("latin-1")
        self._head, self._headers = head, headers


def _within_limit(head: bytes) -> bytes:
    """Raises ValueError for what etcd would not read: sent, it could seem to be applied perhaps."""
    if len(head) > MAX_HEAD:
        raise ValueError(
            f"the request line and headers have {len(head)} bytes; etcd takes {MAX_HEAD}:"
            " use a shorter key, or prev_index= instead of a long prev_value="
        )
    return head


def check_header(name: str, value: str) -> None:
    """Raise ValueError unless both can stand in a header.

    The value is not shown: it may be a password.
    """
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"header name {name[:80]!r}: must be ASCII letters, digits and dashes")
    if any((ord(char) < 32 and char != "\t") or ord(char) == 127 or ord(char) > 255 for char in value):
        raise ValueError(f"header {name}: its value has control characters, or some beyond Latin-1")
