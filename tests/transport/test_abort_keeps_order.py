"""An abort that meets a read: what was received before it is not missing between what is received after."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from etcdv2._core.wire import TransportFailure
from etcdv2._transport.threads import FastTransport
from tests.tools.fault_server import Behaviour, FaultServer, Peer
from tests.tools.transport_drivers import GET, SOON

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_abort_between_the_receiving_and_the_taking_loses_nothing_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread can be stopped right behind its system call; a watch whose stream was aborted then lost an event so."""

    def two_parts(peer: Peer) -> bool:
        peer.send(HEAD)
        opened.wait(5)
        peer.send(b"2\r\na\n\r\n")
        received.wait(5)
        peer.send(b"2\r\nb\n\r\n")
        sent.set()
        peer.stopping.wait(5)
        return False

    opened, received, sent = threading.Event(), threading.Event(), threading.Event()
    real = socket.socket.recv

    def recv(self: socket.socket, *arguments: Any) -> bytes:
        data = real(self, *arguments)
        if b"a\n" in data and not received.is_set():
            received.set()
            sent.wait(5)
            stream.abort()
        return data

    with FaultServer(default=Behaviour(two_parts)) as server:
        transport = FastTransport()
        try:
            stream = transport.open(server.endpoint, GET, SOON)
            monkeypatch.setattr(socket.socket, "recv", recv)
            opened.set()
            got = b""
            failure: TransportFailure | None = None
            while failure is None:
                try:
                    got += stream.read(5) or b""
                except TransportFailure as error:
                    failure = error
            monkeypatch.undo()
            stream.close()
            assert failure.aborted
            assert got in (b"a\n", b"a\nb\n")
        finally:
            transport.close()
