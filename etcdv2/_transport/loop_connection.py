"""One connection of the asyncio transport: a protocol that feeds the reader and wakes whoever
waits.

Owns asyncio's transport, one timer, the account of what was certainly not sent, and the reset of
a request that is given up; of the pool it knows where to report its end.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from math import inf
from time import monotonic
from typing import Protocol, cast

from etcdv2._core.deadline import NEVER
from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Phase, Sent, TransportFailure
from etcdv2._transport.failures import Aborted, LimitReached, failure, refusal
from etcdv2._transport.http1 import AnswerReader, BadAnswer
from etcdv2._transport.idle import IDLE_SECONDS
from etcdv2._transport.lazy_timer import LazyTimer
from etcdv2._transport.limits import go_on
from etcdv2._transport.polling import is_readable
from etcdv2._transport.sent import ANSWERED, ASKED, UNASKED, is_from_system_call
from etcdv2._transport.sockets import reset_on_close, shut_down, tune

_UNREAD_LIMIT = 1 << 20
"""Bytes of a streaming body that may lie unread before the socket is left alone."""

_PROBE_AFTER_SECONDS = 0.05
"""After so long the loop may have missed what came to an idle connection: then the socket itself is
asked.
"""

_COUNTS_UNSENT = "asyncio.selector_events"
"""The module of asyncio's transports that report every byte which they hold back."""


class Owner(Protocol):
    """What the connections of one event loop have in common."""

    loop: asyncio.AbstractEventLoop
    view: memoryview
    """All of them receive into this: what came is parsed before anything else runs on the loop."""

    def discard(self, connection: AsyncConnection) -> None:
        """It has ended."""
        ...


class AsyncConnection(asyncio.BufferedProtocol):
    """`start()` gives a future to wait for, `finish()` looks at the outcome; then `rest()` or
    `end()`.
    """

    __slots__ = (
        "_busy",
        "_cluster_id",
        "_counts_unsent",
        "_limits",
        "_may_be_refused",
        "_owner",
        "_sock",
        "_stage",
        "_timer",
        "_transport",
        "_unread",
        "_unsent",
        "_waiter",
        "_write_failed",
        "endpoint",
        "error",
        "greeting",
        "idle_since",
        "reader",
    )

    def __init__(self, owner: Owner, endpoint: Endpoint, reader: AnswerReader) -> None:
        self.endpoint = endpoint
        self.reader = reader
        self.error: BaseException | None = None
        """Why it ended."""
        self.idle_since = 0.0
        """0 until it has been idle for the first time."""
        self.greeting: bytes | None = None
        """What it answered to the greeting; None when that was not asked yet."""
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer = LazyTimer(owner.loop, self._on_time)
        self._may_be_refused = False
        """Whether the first thing to come may be the server's word that it does not accept our
        certificate.
        """
        self._busy = False
        self._stage = UNASKED
        self._cluster_id = ""
        self._limits = Limits(None, None, NEVER)
        self._counts_unsent = False
        self._unsent = False
        """Whether asyncio holds bytes of the request."""
        self._write_failed = False
        self._unread = 0

    def __repr__(self) -> str:
        idle = self._stage is ANSWERED and not self._busy
        state = f"ended: {self.error}" if self.error is not None else "idle" if idle else self._stage.value
        return f"<AsyncConnection to {self.endpoint}: {state}>"

    # -- what the pool calls -------------------------------------------------------------------------------------

    def start(
        self, data: bytes, limits: Limits, ends: float, *, streaming: bool, cluster_id: str = ""
    ) -> asyncio.Future[None]:
        """Send a request.

        The future is done when the answer (headers if `streaming`) is there or never will be.

        Of an answer from another cluster than `cluster_id` (if given) no more is waited for than
        the headers.
        """
        self.reader.begin(streaming)
        self._busy = True
        self._stage = UNASKED
        self._cluster_id = cluster_id
        self._unread = 0
        self._limits = limits
        self._waiter = waiter = self._owner.loop.create_future()

        timer = self._timer
        timer.expires = ends
        if ends < timer.fires:
            timer.set(ends)

        transport = self._transport
        if transport is None or self.error is not None:
            self.end(self.error or Aborted())
            return waiter
        self._stage = ASKED
        transport.write(data)
        self._write_failed = transport.is_closing()
        return waiter

    def finish(self) -> None:
        """After the future: raise TransportFailure unless what was waited for is there."""
        self._waiter = None
        reader = self.reader
        if reader.done or (reader.streaming and reader.head_done) or reader.is_of_another(self._cluster_id):
            self._stage = ANSWERED
            self._timer.expires = inf
            return
        raise self.failure()

    def failure(self) -> TransportFailure:
        """Why the connection ended, its cause set."""
        error = self.error or Aborted()
        if self._may_be_refused and not self.idle_since and not self.reader.started:
            refused = refusal(error)
            if refused is not None:
                refused.__cause__ = error
                return refused

        sent = self._sent(error)
        phase: Phase = "read" if self.reader.started else "wait"
        if sent is not Sent.WHOLE:
            phase = "send"
        made = failure(error, phase, sent)
        if not isinstance(error, Aborted):
            made.__cause__ = error
        return made

    def _sent(self, error: BaseException) -> Sent:
        """How much of the request has been sent: WHOLE, unless there is a proof of less."""
        # Proof: nothing was given to asyncio.
        if self._stage is UNASKED:
            return Sent.NOTHING

        # TLS has records on their way that it does not count;
        # uvloop writes later, and counts late what its kernel took.
        if self._stage is ANSWERED or not self._counts_unsent:
            return Sent.WHOLE

        # What asyncio caught may be a signal handler's, after send(2) took all and before that was written down.
        ours = isinstance(error, (Aborted, LimitReached, BadAnswer)) or error.__traceback__ is None
        if not (ours or is_from_system_call(error)):
            return Sent.WHOLE

        # Proof: asyncio gives the whole to the kernel in this one call, and closes when send(2) took nothing of it.
        if self._write_failed:
            return Sent.NOTHING

        # Proof: asyncio holds bytes that the kernel has not taken, and `end` makes it throw them away. It says so from
        # the first such byte on, and says when they are gone within the call that sends them.
        return Sent.PART if self._unsent else Sent.WHOLE

    def is_reusable(self) -> bool:
        """Whether nothing of the last exchange is left over."""
        reader = self.reader
        return reader.done and reader.reusable and self.error is None and not self._unsent

    def rest(self, now: float) -> None:
        """Be idle from now on."""
        self._busy = False
        self.idle_since = now
        self._timer.expires = now + IDLE_SECONDS
        if self._timer.fires == inf:
            self._timer.set(self._timer.expires)

    def is_quiet(self) -> bool:
        """Whether an idle connection is as it was left.

        The loop notices what comes to it, unless it was busy elsewhere for long.
        """
        if self.error is not None or self._transport is None or self._transport.is_closing():
            return False
        if monotonic() - self.idle_since < _PROBE_AFTER_SECONDS:
            return True
        return not is_readable(self._sock.fileno())

    def next_bytes(self) -> asyncio.Future[None]:
        """A future for more of a streaming body, for its end, or for the end of the connection."""
        self._waiter = waiter = self._owner.loop.create_future()
        if self.error is not None or self.reader.done:
            waiter.set_result(None)
        return waiter

    def take(self) -> bytes:
        """What has come of a streaming body."""
        paused = self._unread > _UNREAD_LIMIT
        self._unread = 0
        data = self.reader.take()
        if paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        return data

    def half_close(self) -> bool:
        """Close the sending half; nothing can be sent after that, and reading goes on.

        In the loop's thread.
        """
        if self._transport is None or self.error is not None:
            return False
        self.reader.reusable = False
        return shut_down(self._sock, socket.SHUT_WR)

    def end(self, error: BaseException) -> None:
        """Close at once, for this reason unless there was one before, and wake whoever waits.

        A request that was not answered is taken back from the kernel. The socket is closed when the
        loop comes to it, in its next turn, and before whoever waits is woken.
        """
        if self.error is None:
            self.error = error
            self._owner.discard(self)
        self._timer.cancel()
        if self._transport is not None:
            self._expect_no_answer(self._transport)
            self._transport.abort()
        self._wake()

    def forget(self) -> None:
        """When the loop is closed and nothing can run there any more: end the TCP connection."""
        self.error = Aborted()
        if self._transport is not None:
            self._expect_no_answer(self._transport)
            shut_down(self._sock, socket.SHUT_RDWR)  # uvloop closes it together with the loop

    # -- what the event loop calls -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        self._sock = cast(socket.socket, made.get_extra_info("socket"))
        if self.error is not None:
            made.abort()
            return

        self._counts_unsent = type(made).__module__ == _COUNTS_UNSENT
        if self.endpoint.tls:
            context = cast(ssl.SSLContext, made.get_extra_info("sslcontext"))
            self._may_be_refused = not context.post_handshake_auth
        else:
            made.set_write_buffer_limits(high=0)  # so that pause_writing reports every unsent byte

        # An error of TLS closes the socket before this hears of it, so a reset is the rule from the beginning.
        tune(self._sock)
        reset_on_close(self._sock)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._owner.view

    def buffer_updated(self, nbytes: int) -> None:
        if self.error is not None:
            return
        if not self._busy:
            self.end(BadAnswer("bytes came that belong to no answer"))
            return

        reader = self.reader
        try:
            reader.feed(self._owner.view[:nbytes])
        except BadAnswer as error:
            self.end(error)
            return

        if reader.done or reader.is_of_another(self._cluster_id):
            self._wake()
        elif reader.streaming and reader.head_done:
            self._unread += nbytes
            if self._unread > _UNREAD_LIMIT and self._transport is not None:
                self._transport.pause_reading()
            self._wake()
        else:
            self._go_on()

    def eof_received(self) -> bool:
        error: BaseException = ConnectionResetError("closed by the server")
        if self._busy and not self.reader.done:
            try:
                if self.endpoint.tls and self.reader.head_done and not self._ended_properly():
                    raise BadAnswer("the answer was cut short: TLS was not ended properly")
                self.reader.feed_eof()
            except BadAnswer as bad:
                error = bad
        self.end(error)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(exc or ConnectionResetError("closed by the server"))
        self._transport = None

    def pause_writing(self) -> None:
        self._unsent = True

    def resume_writing(self) -> None:
        self._unsent = False

    # -- within --------------------------------------------------------------------------------------------------

    def _expect_no_answer(self, transport: asyncio.Transport) -> None:
        """Let the close that follows be an orderly one, unless a request is given up."""
        # Of a transport that has closed already, uvloop's socket may be another connection's by now.
        if not transport.is_closing() and (self._stage is not ASKED or self.reader.done):
            reset_on_close(self._sock, False)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _go_on(self) -> None:
        """Part of an answer has come: from now on each silence is bounded."""
        timer = self._timer
        timer.expires = ends = go_on(self._limits.answer, self._limits.deadline)
        if ends < timer.fires:
            timer.set(ends)

    def _on_time(self) -> None:
        self.end(LimitReached())

    def _ended_properly(self) -> bool:
        """Whether the peer said by TLS that it sends no more (a cut connection says nothing)."""
        if self._transport is None:
            return False
        tls = cast(ssl.SSLObject, self._transport.get_extra_info("ssl_object"))
        try:
            return tls.read(1) == b""
        except ssl.SSLError:
            return False
