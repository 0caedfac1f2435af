"""One blocking connection: exchanges whose limits hold however the bytes drip, and an account of
what was not sent.

Owns how much of a request certainly did not go out, and whether it is taken back when it is given
up; knows no pool, and leaves the socket to `thread_socket`. One thread uses a connection; any may
`abort()` it.
"""

from __future__ import annotations

import socket
import ssl
from math import inf

from etcdv2._core.endpoints import Endpoint
from etcdv2._core.wire import Limits, Phase, TransportFailure
from etcdv2._runtime.handlers import of_handler, suppress_own
from etcdv2._transport.failures import Aborted, LimitReached, failure, refusal
from etcdv2._transport.http1 import AnswerReader, BadAnswer
from etcdv2._transport.kernel_wait import BUFFER_BYTES
from etcdv2._transport.limits import go_on
from etcdv2._transport.polling import READABLE, WRITABLE
from etcdv2._transport.sent import ANSWERED, ASKED, BIGGEST_TLS_RECORD, UNASKED, how_much_sent, is_from_system_call
from etcdv2._transport.thread_socket import NOT_YET, RECEIVE_BYTES, ThreadSocket

_DO_NOT_WAIT: int = getattr(socket, "MSG_DONTWAIT", 0)


class Connection(ThreadSocket):
    """`connect`, perhaps `start_tls`, then `exchange` again and again; all raise TransportFailure."""

    __slots__ = ("__weakref__", "_phase", "_stage", "_total", "_unsent", "greeting", "idle_since", "reader")

    def __init__(self, endpoint: Endpoint, reader: AnswerReader) -> None:
        super().__init__(endpoint)
        self.reader = reader
        self.idle_since = 0.0
        """0 until it has been idle for the first time."""
        self.greeting: bytes | None = None
        """What it answered to the greeting; None when that was not asked yet."""
        self._phase: Phase = "connect"
        self._stage = UNASKED
        self._total = 0
        self._unsent = 0
        """Bytes of the request that the socket has provably not accepted."""

    def __repr__(self) -> str:
        state = "closed" if self._sock is None else "aborted" if self._aborted else self._stage.value
        return f"<Connection to {self.endpoint}: {state}>"

    def connect(self, ends: float) -> None:
        try:
            self._connect(ends)
        except (OSError, Aborted) as error:
            raise self._failure(error) from self._cause(error)

    def start_tls(self, context: ssl.SSLContext, hostname: str, ends: float) -> None:
        try:
            self._shake_hands(context, hostname, ends)
        except (OSError, ValueError, Aborted) as error:
            raise self._failure(error) from self._cause(error)

    # -- one exchange --------------------------------------------------------------------------------------------

    def exchange(self, data: bytes, limits: Limits, ends: float, *, streaming: bool, cluster_id: str = "") -> None:
        """Send a request and read its answer into `reader`: the whole, or the headers when
        `streaming`.

        Of an answer from another cluster than `cluster_id` (if given) no more is read than has come
        with the headers. `ends` is when the answer must have begun.
        """
        reader = self.reader
        reader.begin(streaming)
        self._phase = "send"
        self._stage = UNASKED
        self._total = self._unsent = len(data)
        try:
            sock = self._sock
            if sock is None or self._aborted:
                raise Aborted

            # 1. A stream may be silent for hours, and its limits are `poll`'s.
            if self._in_kernel is streaming:
                self._switch(in_kernel=not streaming)

            # 2. The request; most go in one piece.
            self._stage = ASKED
            self._hand_over(sock, data)
            if self._unsent:
                self._send_rest(sock, data, ends)

            # 3. The answer. Once it has begun, each silence within it is bounded.
            self._phase = "wait"
            while not (reader.done or (streaming and reader.head_done)):
                came = self._receive_in_kernel(ends) if self._in_kernel else self._receive(sock, ends)
                if came is None:
                    continue
                if came:
                    reader.feed(came)
                else:
                    self._take_end()
                if not reader.done:
                    if reader.is_of_another(cluster_id):
                        break
                    self._phase = "read"
                    ends = go_on(limits.answer, limits.deadline)
                    if len(came) == BUFFER_BYTES:
                        self._switch(in_kernel=False)  # a large answer: its rest is read in larger pieces
            self._stage = ANSWERED
        except (OSError, BadAnswer, Aborted, ValueError) as error:
            raise self._failure(error) from self._cause(error)

    def _hand_over(self, sock: socket.socket, rest: bytes | memoryview) -> None:
        """Give the kernel what it takes at once of the rest of the request, which may be nothing.

        Raises what `send` raises, unless the server's answer is there already and says more.

        Until `send` has said how much it took, all may be out: an exception of a signal handler can
        come in between.
        """
        unsent = len(rest)
        self._unsent = 0
        try:
            if self._tls is None:
                self._unsent = unsent - sock.send(rest, _DO_NOT_WAIT)
            elif unsent <= BIGGEST_TLS_RECORD:
                self._unsent = unsent - sock.send(rest)
            else:
                self._unsent = unsent - sock.send(rest[:BIGGEST_TLS_RECORD])
        except OSError as error:
            # An error of send(2) itself took nothing. Under TLS a record may be out, which `how_much_sent` allows for.
            if self._tls is not None or is_from_system_call(error):
                self._unsent = unsent
            if of_handler(error) is not None:
                raise
            if isinstance(error, NOT_YET):
                return

            self._receive_now(sock)  # perhaps the server has said why
            if self.reader.done:
                return
            raise

    def _send_rest(self, sock: socket.socket, data: bytes, ends: float) -> None:
        """What the kernel did not take at once; an answer that comes meanwhile (a refusal) is read
        and ends it.
        """
        self._switch(in_kernel=False)
        view = memoryview(data)
        reader = self.reader
        while self._unsent and not reader.done:
            before = self._unsent
            self._hand_over(sock, view[self._total - before :])
            if self._unsent == before and not reader.done:
                self._receive_now(sock)
                if not reader.done:
                    self._wait_for(READABLE | WRITABLE, ends)

    def _receive_now(self, sock: socket.socket) -> None:
        self._switch(in_kernel=False)
        with suppress_own(*NOT_YET):
            self._take_in(sock.recv(RECEIVE_BYTES))

    def _take_in(self, data: bytes) -> None:
        """Also after an abort: what came before it is not to be missing between what comes after."""
        if data:
            self.reader.feed(data)
        else:
            self._take_end()

    def _take_end(self) -> None:
        """No more will come. After an abort that is not the peer's word."""
        if self._aborted:
            raise Aborted
        self.reader.feed_eof()

    # -- a body that goes on arriving ----------------------------------------------------------------------------

    def read_some(self, ends: float) -> bytes:
        """What has come of a streaming body, waiting until `ends` for it (then LimitReached); `b""`
        at its end.
        """
        reader = self.reader
        self._phase = "read"
        try:
            while True:
                self._check_aborted()
                data = reader.take()
                if data or reader.done:
                    return data
                if self._sock is None:
                    raise Aborted

                try:
                    came = self._receive(self._sock, ends)
                except LimitReached:
                    # This thread may have been kept from running: what has come by now counts as in time.
                    if self._aborted or not self._is_readable():
                        raise
                    came = self._receive(self._sock, inf)
                if came is not None:
                    self._take_in(came)
        except LimitReached:
            if not self._aborted:
                raise
            error: BaseException = Aborted()
        except (OSError, BadAnswer, Aborted, ValueError) as caught:
            error = caught

        if self._aborted and (data := self._arrived()):
            return data
        raise self._failure(error) from self._cause(error)

    def _arrived(self) -> bytes:
        """After an abort, what had come before it: a shutdown leaves that in the kernel's buffer."""
        sock = self._sock
        with suppress_own(OSError, BadAnswer, ValueError):
            while sock is not None and (data := sock.recv(RECEIVE_BYTES)):
                self.reader.feed(data)
        return self.reader.take()

    # -- between and after exchanges -----------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether an idle connection is as it was left: neither closed by the server nor with bytes
        waiting.
        """
        return not self._aborted and not self._is_readable()

    def is_reusable(self) -> bool:
        """Whether nothing of the last exchange is left over."""
        reader = self.reader
        return reader.done and reader.reusable and not self._unsent and not self._aborted

    def was_closed_unused(self, error: TransportFailure) -> bool:
        """Whether an exchange failed because an idle connection had ended before it, as far as its
        failure shows.
        """
        ended = error.phase in ("send", "wait") and not error.timed_out and not error.aborted
        return ended and self.idle_since > 0 and not self.reader.started

    def half_close(self) -> bool:
        """Close the sending half; nothing can be sent after that.

        From any thread, also while another one reads.
        """
        self.reader.reusable = False
        return self._shut_sending_half()

    def close(self) -> None:
        """A request that was not answered is taken back from the kernel: none of it is sent after
        this.

        Another thread than the one that uses it may do so while that one reads a stream; the read
        will then fail.
        """
        self._close(reset=self._stage is ASKED)

    # -- what went wrong -----------------------------------------------------------------------------------------

    def _failure(self, error: BaseException) -> TransportFailure:
        tls = self._tls
        if tls is not None and not self.idle_since and not self.reader.started and not tls.context.post_handshake_auth:
            refused = refusal(self._cause(error))
            if refused is not None:
                return refused
        sent = how_much_sent(self._stage, self._total, self._unsent, tls=tls is not None)
        try:
            return failure(self._cause(error) or Aborted(), self._phase, sent)
        finally:
            del error  # as there

    def _cause(self, error: BaseException) -> BaseException | None:
        return None if self._aborted or isinstance(error, Aborted) else error
