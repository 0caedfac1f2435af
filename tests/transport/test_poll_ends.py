"""How etcd ends a poll whose client has closed its sending half: properly, and at random where it had an event too."""

from __future__ import annotations

import json
import socket

from etcdv2 import Client
from etcdv2.testing import Server
from tests.tools.waiting import SOON

END = b"0\r\n\r\n"


def ask(server: Server, target: str, *, together: bool = False) -> socket.socket:
    """`together`: what is done next to the socket goes out with the request, in one packet."""
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=SOON)
    if together:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    sock.sendall(f"GET /v2/keys{target} HTTP/1.1\r\nHost: etcd\r\n\r\n".encode())
    return sock


def read_headers(sock: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(65536)
    return received


def read_body(sock: socket.socket, received: bytes = b"") -> bytes:
    """All to the end of the connection."""
    with sock:
        while part := sock.recv(65536):
            received += part
    return received.partition(b"\r\n\r\n")[2]


def test_waiting_poll_ends_properly_and_empty(etcd: Server) -> None:
    sock = ask(etcd, "/k?wait=true")
    received = read_headers(sock)
    sock.shutdown(socket.SHUT_WR)
    assert read_body(sock, received) == END


def test_event_that_a_waiting_poll_was_given_comes_before_its_end(etcd: Server) -> None:
    with Client(etcd.url) as client:
        for number in range(50):
            sock = ask(etcd, "/k?wait=true")
            received = read_headers(sock)
            client.keys.set("/k", str(number))
            while b"\n" not in received.partition(b"\r\n\r\n")[2]:
                received += sock.recv(65536)
            sock.shutdown(socket.SHUT_WR)
            body = read_body(sock, received)
            assert body.endswith(END)
            assert json.loads(body.split(b"\r\n")[1])["node"]["value"] == str(number)


def test_poll_that_found_an_event_takes_that_or_the_end_at_random(etcd: Server) -> None:
    """So the proper end of one poll does not prove that there was no event."""
    with Client(etcd.url) as client:
        index = client.keys.set("/k", "past").index
    bodies = list[bytes]()
    for _ in range(2000):  # until both were seen
        sock = ask(etcd, f"/k?wait=true&waitIndex={index}", together=True)
        sock.shutdown(socket.SHUT_WR)
        bodies.append(read_body(sock))
        if len(bodies) >= 100 and 0 < bodies.count(END) < len(bodies):
            break
    assert all(body.endswith(END) for body in bodies)
    assert 0 < bodies.count(END) < len(bodies)
