"""One connection of the asyncio transport: a protocol that feeds the reader and wakes whoever waits.

Owns the transport, one lazy timer and how much of a request went out; of pools it knows where to report its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import ssl
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import cast

from etcdv2._core.deadline import NEVER
from etcdv2._core.wire import Limits, Phase, Sent, TransportFailure
from etcdv2._transport.failures import Aborted, LimitReached, failure, refusal
from etcdv2._transport.http1 import AnswerReader, BadAnswer
from etcdv2._transport.idle import IDLE_SECONDS
from etcdv2._transport.limits import go_on
from etcdv2._transport.sockets import tune

_UNREAD_LIMIT = 1 << 20
"""Bytes of a streaming body that may lie unread before the socket is left alone."""

_PROBE_AFTER = 0.05
"""Seconds of idleness after which the loop may have missed what came: then the socket itself is asked."""


class AsyncConnection(asyncio.BufferedProtocol):
    """`start()` gives a future to wait for, `finish()` looks at the outcome; then `rest()` or `end()`.

    The timer is lazy: a call only notes when its time is over, and a timer that fires too early is set again.
    """

    __slots__ = (
        "_answer",
        "_asked_later",
        "_busy",
        "_cluster_id",
        "_deadline",
        "_expires",
        "_loop",
        "_never_sent",
        "_on_end",
        "_paused",
        "_tells_unsent",
        "_timer",
        "_timer_at",
        "_tls",
        "_transport",
        "_unread",
        "_unsent",
        "_view",
        "_waiter",
        "error",
        "greeting",
        "idle_since",
        "reader",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        view: memoryview,
        reader: AnswerReader,
        on_end: Callable[[AsyncConnection], None],
        *,
        tls: bool,
    ) -> None:
        self.reader = reader
        self.error: BaseException | None = None
        self.idle_since = 0.0
        self.greeting: bytes | None = None
        """What it answered to the greeting; None when that was not asked yet."""
        self._loop = loop
        self._view = view
        self._on_end = on_end
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._expires = inf
        self._asked_later = False
        self._busy = False
        self._cluster_id = ""
        self._unsent = False
        self._never_sent = False
        # TLS has records on their way that it does not count; uvloop counts what its kernel calls sent a moment late.
        self._tells_unsent = not tls and isinstance(loop, asyncio.SelectorEventLoop)
        self._paused = False
        self._unread = 0
        self._answer: float | None = None
        self._deadline = NEVER

    # -- what the transport calls -------------------------------------------------------------------------------------

    def start(
        self, data: bytes, limits: Limits, ends: float, *, streaming: bool, cluster_id: str = ""
    ) -> asyncio.Future[None]:
        """Send a request. The future is done when the answer (headers if `streaming`) is there or never will be.

        Of an answer from another cluster than `cluster_id` (if given) no more is waited for than the headers.
        """
        self.reader.begin(streaming)
        self._busy = True
        self._cluster_id = cluster_id
        self._unread = 0
        self._answer, self._deadline = limits.answer, limits.deadline
        self._waiter = waiter = self._loop.create_future()
        self._expires = ends
        if ends < self._timer_at:
            self._set_timer(ends)
        transport = self._transport
        if transport is None or self.error is not None:
            self._never_sent = True
            self.end(self.error or Aborted())
            return waiter
        transport.write(data)
        if transport.is_closing():
            # asyncio's plain transport gives all to the kernel in this one call: it closes when that took nothing.
            self._never_sent = self._tells_unsent
        return waiter

    def finish(self) -> None:
        """After the future: raise TransportFailure unless what was waited for is there."""
        self._waiter = None
        reader = self.reader
        if reader.done or (reader.streaming and reader.head_done) or reader.is_of_another(self._cluster_id):
            self._expires = inf
            return
        raise self.failure()

    def failure(self) -> TransportFailure:
        """Why the connection ended, its cause set."""
        error = self.error or Aborted()
        if self._tls and not self.idle_since and not self.reader.started and not self._asked_later:
            refused = refusal(error)
            if refused is not None:
                refused.__cause__ = error
                return refused
        sent = Sent.WHOLE
        if self._never_sent:
            sent = Sent.NOTHING
        elif self._unsent and self._tells_unsent:
            # asyncio holds bytes that the kernel has not taken, and `end` makes it throw them away.
            sent = Sent.PART
        phase: Phase = "read" if self.reader.started else "wait"
        if sent is not Sent.WHOLE:
            phase = "send"
        made = failure(error, phase, sent)
        if not isinstance(error, Aborted):
            made.__cause__ = error
        return made

    def is_reusable(self) -> bool:
        """Whether nothing of the last exchange is left over."""
        reader = self.reader
        return reader.done and reader.reusable and self.error is None and not self._unsent

    def rest(self, now: float) -> None:
        """Be idle from now on."""
        self._busy = False
        self.idle_since = now
        self._expires = now + IDLE_SECONDS
        if self._timer is None:
            self._set_timer(self._expires)

    def is_quiet(self) -> bool:
        """Whether an idle connection is as it was left. The loop tells, unless it was busy elsewhere for long."""
        if self.error is not None or self._transport is None or self._transport.is_closing():
            return False
        if monotonic() - self.idle_since < _PROBE_AFTER:
            return True
        probe = select.poll()
        probe.register(cast(socket.socket, self._transport.get_extra_info("socket")).fileno(), select.POLLIN)
        return not probe.poll(0)

    def next_bytes(self) -> asyncio.Future[None]:
        """A future for more of a streaming body, for its end, or for the end of the connection."""
        self._waiter = waiter = self._loop.create_future()
        if self.error is not None or self.reader.done:
            waiter.set_result(None)
        return waiter

    def take(self) -> bytes:
        """What has come of a streaming body."""
        self._unread = 0
        data = self.reader.take()
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def half_close(self) -> bool:
        """Close the sending half; nothing can be sent after that, and reading goes on. From any thread."""
        transport = self._transport
        if transport is None or self.error is not None:
            return False
        self.reader.reusable = False
        try:
            # A second descriptor of the same socket: asyncio's TLS and uvloop have no way of their own to say this.
            number = os.dup(cast(socket.socket, transport.get_extra_info("socket")).fileno())
            with socket.socket(fileno=number) as sock:
                sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            return False
        return True

    def end(self, error: BaseException) -> None:
        """Close at once, for this reason unless there was one before, and wake whoever waits."""
        if self.error is None:
            self.error = error
            self._on_end(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = inf
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def forget(self) -> None:
        """When the loop is closed and nothing can run there any more: end the TCP connection."""
        self.error = Aborted()
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    # -- what the event loop calls -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        if self.error is not None:
            made.abort()
            return
        if not self._tls:
            made.set_write_buffer_limits(high=0)  # so that pause_writing tells of every unsent byte
        else:
            self._asked_later = cast(ssl.SSLContext, made.get_extra_info("sslcontext")).post_handshake_auth
        tune(cast(socket.socket, made.get_extra_info("socket")))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if self.error is not None:
            return
        if not self._busy:
            self.end(BadAnswer("bytes came that belong to no answer"))
            return
        reader = self.reader
        try:
            reader.feed(self._view[:nbytes])
        except BadAnswer as error:
            self.end(error)
            return
        if reader.done or reader.is_of_another(self._cluster_id):
            self._wake()
        elif not reader.streaming:
            self._go_on()
        elif reader.head_done:
            self._unread += nbytes
            if self._unread > _UNREAD_LIMIT and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
            self._wake()
        else:
            self._go_on()

    def eof_received(self) -> bool:
        error: BaseException = ConnectionResetError("closed by the server")
        if self._busy and not self.reader.done:
            try:
                if self._tls and self.reader.head_done and not self._ended_properly():
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

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _go_on(self) -> None:
        """Part of an answer has come: from now on each silence is bounded."""
        self._expires = ends = go_on(self._answer, self._deadline)
        if ends < self._timer_at:
            self._set_timer(ends)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = inf
        if self._expires <= monotonic():
            self.end(LimitReached("no time left"))
        elif self._expires < inf:
            self._set_timer(self._expires)

    def _ended_properly(self) -> bool:
        """Whether the peer said by TLS that it sends no more (a cut connection says nothing)."""
        if self._transport is None:
            return False
        tls = cast(ssl.SSLObject, self._transport.get_extra_info("ssl_object"))
        try:
            return tls.read(1) == b""
        except ssl.SSLError:
            return False
