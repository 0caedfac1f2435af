"""One blocking connection: a non-blocking socket, `poll`, and limits that hold however the bytes drip.

Owns the socket and how much of a request went out; knows no pool. One thread uses it; any thread may `abort()` it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
from collections.abc import Sequence
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from etcdv2._core.wire import Limits, Phase, Sent, TransportFailure
from etcdv2._transport.failures import Aborted, LimitReached, failure, how_much_sent, refusal
from etcdv2._transport.http1 import AnswerReader, BadAnswer
from etcdv2._transport.limits import go_on
from etcdv2._transport.sockets import tune

RECEIVE_BYTES = 65536
"""More than a TLS record, of which a read takes one: so nothing stays hidden in OpenSSL, and `poll` tells the truth."""
_LONGEST_WAIT = 86400.0

_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
_ending = threading.RLock()
"""Held around shutdown and close, so that an abort never hits a descriptor that was given to another file.

Reentrant: the garbage collector, which can run at any allocation, aborts the streams of forgotten watches.
"""


class Connection:
    """`connect`, perhaps `start_tls`, then `exchange` again and again; all raise TransportFailure."""

    __slots__ = (
        "_aborted",
        "_looked_up",
        "_phase",
        "_poll",
        "_sock",
        "_tls",
        "_total",
        "_unsent",
        "greeting",
        "idle_since",
        "reader",
    )

    def __init__(self, reader: AnswerReader) -> None:
        self.reader = reader
        self.idle_since = 0.0
        self.greeting: bytes | None = None
        """What it answered to the greeting; None when that was not asked yet."""
        self._sock: socket.socket | None = None
        self._tls: ssl.SSLSocket | None = None
        self._poll = select.poll()
        self._looked_up: SimpleQueue[Sequence[_Address] | BaseException] | None = None
        self._aborted = False
        self._phase: Phase = "connect"
        self._total = 0
        self._unsent = 0

    def connect(self, host: str, port: int, ends: float) -> None:
        """Try every address of the host, each with its share of the time."""
        error: BaseException = OSError("the name has no address")
        try:
            addresses = self._look_up(host, port, ends)
            for position, (family, kind, protocol, _, address) in enumerate(addresses):
                now = monotonic()
                try:
                    self._connect_one(family, kind, protocol, address, now + (ends - now) / (len(addresses) - position))
                    return
                except OSError as refused:
                    error = refused
                    self._forget_socket()
            raise error
        except (OSError, Aborted) as caught:
            raise self._failure(caught) from self._cause(caught)

    def start_tls(self, context: ssl.SSLContext, hostname: str, ends: float) -> None:
        try:
            if self._sock is None or self._aborted:
                raise Aborted
            self._tls = self._sock = context.wrap_socket(
                self._sock, server_hostname=hostname, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
            while True:
                if self._aborted:
                    raise Aborted
                try:
                    self._tls.do_handshake()
                    return
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN, ends)
                except ssl.SSLWantWriteError:
                    self._wait(select.POLLOUT, ends)
        except (OSError, ValueError, Aborted) as error:
            raise self._failure(error) from self._cause(error)

    def exchange(self, data: bytes, limits: Limits, ends: float, *, streaming: bool, cluster_id: str = "") -> None:
        """Send a request and read its answer into `reader`: the whole, or the headers when `streaming`.

        Of an answer from another cluster than `cluster_id` (if given) no more is read than has come with the headers.
        `ends` is when the answer must have begun.
        """
        reader = self.reader
        reader.begin(streaming)
        self._phase = "send"
        self._total = self._unsent = len(data)
        sock = self._sock
        try:
            if sock is None:
                raise Aborted
            try:
                self._unsent -= sock.send(data)
            except _NOT_YET:
                self._send_rest(sock, data, ends)
            except OSError:
                self._receive_now(sock)  # perhaps the server has said why
                if not reader.done:
                    raise
            if self._unsent:
                self._send_rest(sock, data, ends)
            self._phase = "wait"
            while not (reader.done or (streaming and reader.head_done)):
                if self._receive(sock, ends) and not reader.done:
                    if reader.is_of_another(cluster_id):
                        return
                    self._phase = "read"
                    ends = go_on(limits.answer, limits.deadline)
        except (OSError, BadAnswer, Aborted, ValueError) as error:
            raise self._failure(error) from self._cause(error)

    def read_some(self, ends: float) -> bytes:
        """What has come of a streaming body, waiting until `ends` for it (then LimitReached); `b""` at its end."""
        reader = self.reader
        self._phase = "read"
        try:
            while True:
                if self._aborted:
                    raise Aborted
                data = reader.take()
                if data or reader.done:
                    return data
                if self._sock is None:
                    raise Aborted
                try:
                    self._receive(self._sock, ends)
                except LimitReached:
                    # This thread may have been kept from running: what has come by now counts as in time.
                    if self._aborted or not self._poll.poll(0):
                        raise
                    self._receive(self._sock, inf)
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
        with contextlib.suppress(OSError, BadAnswer, ValueError):
            while sock is not None and (data := sock.recv(RECEIVE_BYTES)):
                self.reader.feed(data)
        return self.reader.take()

    def is_quiet(self) -> bool:
        """Whether an idle connection is as it was left: neither closed by the server nor with bytes waiting."""
        return not self._aborted and not self._poll.poll(0)

    def is_reusable(self) -> bool:
        """Whether nothing of the last exchange is left over."""
        reader = self.reader
        return reader.done and reader.reusable and not self._unsent and not self._aborted

    def abort(self) -> None:
        """Wake the thread that uses this connection, which will then fail. Never blocks."""
        self._aborted = True
        with _ending:
            if self._looked_up is not None:
                self._looked_up.put(Aborted())
            if self._sock is not None:
                with contextlib.suppress(OSError):
                    # The plain socket's own method: SSLSocket.shutdown would let the reader see ciphertext.
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def half_close(self) -> bool:
        """Close the sending half; nothing can be sent after that. From any thread, also while another one reads."""
        with _ending:
            if self._sock is None or self._aborted:
                return False
            self.reader.reusable = False
            try:
                # The plain socket's own method, as in `abort`: TLS records can still be read.
                socket.socket.shutdown(self._sock, socket.SHUT_WR)
            except OSError:
                return False
            return True

    def close(self) -> None:
        """Also from another thread than the one that uses it, which will then fail."""
        self.abort()
        self._forget_socket()

    def forget(self) -> None:
        """In a forked child: close the descriptor only; no lock is taken, its holder may not exist here."""
        self._aborted = True
        if self._sock is not None:
            self._sock.close()

    def _forget_socket(self) -> None:
        with _ending:
            sock, self._sock, self._tls = self._sock, None, None
            if sock is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._poll.unregister(sock)
                sock.close()

    def _look_up(self, host: str, port: int, ends: float) -> Sequence[_Address]:
        try:
            # As bytes: for a str Python imports a codec, which a child forked meanwhile would wait for without end.
            name = host.encode("ascii")
            return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            pass  # a name
        answers: SimpleQueue[Sequence[_Address] | BaseException] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.put(error if isinstance(error, OSError) else OSError(str(error)))

        # The resolver has no time limit, so it gets a thread of its own, which may outlive the call.
        threading.Thread(target=ask, name="etcdv2-lookup", daemon=True).start()
        self._looked_up = answers
        if self._aborted:
            raise Aborted
        try:
            found = answers.get(timeout=min(max(ends - monotonic(), 0), _LONGEST_WAIT))
        except Empty:
            raise LimitReached(f"looking up {host}") from None
        self._looked_up = None
        if isinstance(found, BaseException):
            raise found
        return found

    def _connect_one(self, family: int, kind: int, protocol: int, address: Any, ends: float) -> None:
        self._sock = sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        tune(sock)
        try:
            sock.connect(address)
        except BlockingIOError:
            self._poll.register(sock, select.POLLOUT)
            self._wait(select.POLLOUT, ends)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error)) from None
        self._poll.register(sock, select.POLLIN)
        if self._aborted:
            raise Aborted

    def _wait(self, events: int, ends: float) -> None:
        """Until the socket is ready; the poll object is left asking for POLLIN."""
        if self._sock is None or self._aborted:
            raise Aborted
        self._poll.modify(self._sock, events)
        try:
            self._wait_registered(ends)
        finally:
            self._poll.modify(self._sock, select.POLLIN)

    def _wait_registered(self, ends: float) -> None:
        while True:
            if ends == inf:
                ready = self._poll.poll()
            else:
                left = ends - monotonic()
                if left <= 0:
                    raise LimitReached("no time left")
                ready = self._poll.poll(int(min(left, _LONGEST_WAIT) * 1000) + 1)
            if self._aborted:
                raise Aborted
            if ready:
                return

    def _receive(self, sock: socket.socket, ends: float) -> bool:
        """One read, given to the reader; whether anything came."""
        self._wait_registered(ends)
        try:
            data = sock.recv(RECEIVE_BYTES)
        except ssl.SSLWantWriteError:
            self._wait(select.POLLOUT, ends)
            return False
        except _NOT_YET:
            return False
        if self._aborted:
            raise Aborted
        if data:
            self.reader.feed(data)
        else:
            self.reader.feed_eof()
        return True

    def _send_rest(self, sock: socket.socket, data: bytes, ends: float) -> None:
        """What the kernel did not take at once; an answer that comes meanwhile (a refusal) is read and ends it."""
        view = memoryview(data)
        reader = self.reader
        while self._unsent and not reader.done:
            self._wait(select.POLLIN | select.POLLOUT, ends)
            try:
                self._unsent -= sock.send(view[self._total - self._unsent :])
            except _NOT_YET:
                self._receive_now(sock)
            except OSError:
                self._receive_now(sock)
                if not reader.done:
                    raise

    def _receive_now(self, sock: socket.socket) -> None:
        with contextlib.suppress(*_NOT_YET):
            data = sock.recv(RECEIVE_BYTES)
            if data:
                self.reader.feed(data)
            else:
                self.reader.feed_eof()

    def _failure(self, error: BaseException) -> TransportFailure:
        tls = self._tls
        if tls is not None and not self.idle_since and not self.reader.started and not tls.context.post_handshake_auth:
            refused = refusal(self._cause(error))
            if refused is not None:
                return refused
        sent = Sent.NOTHING
        if self._phase != "connect":
            sent = how_much_sent(self._total, self._unsent, tls=self._tls is not None)
        return failure(self._cause(error) or Aborted(), self._phase, sent)

    def _cause(self, error: BaseException) -> BaseException | None:
        return None if self._aborted or isinstance(error, Aborted) else error


def _renew_lock() -> None:
    global _ending  # noqa: PLW0603 - the thread that held it may not exist in a forked child
    _ending = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
