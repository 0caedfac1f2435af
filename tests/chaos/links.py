"""The ground of a chaos run everywhere: three members, a TCP proxy before each client port and each peer port.

Owns what can happen on the way: cut, stalled, slow, answers or requests lost. Peer traffic is distinguished by the
`X-Server-From` header of etcd's rafthttp, so that one member can be cut off from the others without namespaces.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import threading
from collections.abc import Generator, Sequence
from typing import Self

from etcdv2.testing import Cluster, Server
from etcdv2.testing._http import ask
from etcdv2.testing._process import free_port
from tests.chaos.ground import SNAPSHOTS, Ground
from tests.tools.fault_server import TcpProxy
from tests.tools.listener import reset_on_close

FROM = re.compile(rb"X-Server-From: ([0-9a-f]+)", re.IGNORECASE)


class Flow:
    """One connection through a link."""

    def __init__(self, socks: tuple[socket.socket, socket.socket]) -> None:
        self.socks = socks
        self.writing = threading.Event()
        """Set while a write is under way."""
        self.dead = False
        """Nothing passes any more, and nobody is notified."""


class Link(TcpProxy):
    """A `TcpProxy` that can be slow, and that can lose a write or its answer: the connection ends instead."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.delay = 0.0
        """Seconds that each piece takes, in both directions."""
        self.lose_requests = False
        """Writes do not reach the member."""
        self.lose_answers = False
        """Writes reach the member, their answers do not come back."""
        self.resets = False
        """Whoever sends on a connection that was forgotten gets a reset."""
        self._flows: list[Flow] = []

    def lose_flows(self, rng: random.Random) -> None:
        """Forget about half of the connections, as a firewall does: what is sent there is taken and goes nowhere."""
        with self.lock:
            for flow in self._flows:
                flow.dead = flow.dead or rng.random() < 0.5

    def end_lost_flows(self) -> None:
        """Who sends on one of them now is told that it is gone."""
        with self.lock:
            dead = [flow for flow in self._flows if flow.dead]
        for sock in (sock for flow in dead for sock in flow.socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close_door(self) -> None:
        """Reset what is open, refuse what is new."""
        self.refusing = True
        self.cut()

    def mend(self) -> None:
        self.refusing = self.lose_requests = self.lose_answers = False
        self.delay = 0.0
        self.go()

    def _serve(self, sock: socket.socket, number: int) -> None:
        if self.refusing:
            return
        with socket.create_connection(self._target) as upstream, self.held(upstream):
            flow = Flow((sock, upstream))
            with self.lock:
                self._flows.append(flow)
            back = threading.Thread(target=self._carry, args=(upstream, sock, flow, True))
            back.start()
            self._carry(sock, upstream, flow, False)
            back.join()
            with self.lock:
                self._flows.remove(flow)

    def _may_pass(self, sock: socket.socket, data: bytes) -> bool:
        """Of what a client sends."""
        return True

    def _carry(self, source: socket.socket, sink: socket.socket, flow: Flow, answers: bool) -> None:
        ended, writing = self._ended, flow.writing
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.delay:
                    self.stopping.wait(self.delay)
                self._going.wait()
                if self._ended != ended:
                    break
                if flow.dead and self.resets:
                    reset_on_close(flow.socks[0])
                    flow.socks[1].shutdown(socket.SHUT_RDWR)
                    return
                if flow.dead:
                    continue
                if not answers:
                    if not self._may_pass(source, data):
                        break
                    if data.startswith((b"PUT ", b"POST ", b"DELETE ")):
                        writing.set()
                    elif data.startswith((b"GET ", b"HEAD ", b"OPTIONS ")):  # httpx sends a body as a piece of its own
                        writing.clear()
                if writing.is_set() and (self.lose_answers if answers else self.lose_requests):
                    break
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RD)


class PeerLink(Link):
    """The way of the other members to one member's peer port; `banned` are ids of members that do not get through.

    Who sends is not known before a request says so: etcd's probes do not, and leave their connection to others (3.4).
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._banned: set[bytes] = set()
        self._senders: dict[socket.socket, bytes] = {}

    def ban(self, member_ids: set[bytes]) -> None:
        with self.lock:
            self._banned = member_ids
            if not member_ids:
                return
            for sock, sender in self._senders.items():
                if sender in member_ids or not sender:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)

    def _may_pass(self, sock: socket.socket, data: bytes) -> bool:
        with self.lock:
            if not self._senders[sock] and (found := FROM.search(data)):
                self._senders[sock] = found[1]
            return self._senders[sock] not in self._banned

    def _serve(self, sock: socket.socket, number: int) -> None:
        with self.lock:
            self._senders[sock] = b""
        try:
            super()._serve(sock, number)
        finally:
            with self.lock:
                del self._senders[sock]


class Arena(Ground):
    """A cluster of three with links: `endpoints` lead through the client links, `direct` past them.

    The members advertise the links, not themselves: whoever finds addresses by `sync` is on links too.
    """

    name = "proxies"
    drops = False

    def __init__(self, binary: str | os.PathLike[str] | None = None) -> None:
        self.cluster = Cluster(3, binary, fsync=False, heartbeat_interval=50, election_timeout=500)
        ports = [(free_port(), free_port()) for _ in range(3)]
        self.links = [Link(port) for port, _ in ports]
        self.peer_links = [PeerLink(port) for _, port in ports]
        urls = [f"http://127.0.0.1:{link.port}" for link in self.peer_links]
        together = ",".join(f"m{number}={url}" for number, url in enumerate(urls, 1))
        self.cluster.members = [
            Server(
                binary,
                name=f"m{number}",
                fsync=False,
                heartbeat_interval=50,
                election_timeout=500,
                port=port,
                peer_port=peer_port,
                initial_cluster=together,
                advertise=link.endpoint.url,
                args=[f"--initial-advertise-peer-urls={url}", SNAPSHOTS],
            )
            for number, ((port, peer_port), url, link) in enumerate(zip(ports, urls, self.links, strict=True), 1)
        ]
        self._ids: dict[str, bytes] = {}
        self._stack = contextlib.ExitStack()

    @property
    def endpoints(self) -> list[str]:
        return [link.endpoint.url for link in self.links]

    @property
    def ways(self) -> Sequence[Link]:
        return self.links

    @property
    def peer_ways(self) -> Sequence[PeerLink]:
        return self.peer_links

    def link(self, member: Server) -> Link:
        """The way of clients to this member."""
        return self.links[self.members.index(member)]

    def cut_off(self, member: Server) -> None:
        """No traffic between this member and the others, in both directions; clients still reach it."""
        everybody = set(self._ids.values())
        for other, link in zip(self.members, self.peer_links, strict=True):
            link.ban(everybody if other is member else {self._ids[member.name]})

    def move(self, member: Server) -> None:
        """Start this member, which is away, with another link, which it advertises; the old address refuses then.

        Its own port stays, for the `direct` clients; `tests/chaos/test_moves.py` changes that too.
        """
        fresh = self._stack.enter_context(Link(member.port))
        number = self.members.index(member)
        old, self.links[number] = self.links[number], fresh
        old.__exit__(None, None, None)
        member.advertise = fresh.endpoint.url
        member.start(wait=False)

    def mend(self) -> None:
        """All links as at the start; the members are left as they are."""
        for peers in self.peer_links:
            peers.ban(set())
        for link in [*self.links, *self.peer_links]:
            link.mend()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for link in [*self.links, *self.peer_links]:
                stack.enter_context(link)
            stack.enter_context(self.cluster)
            for member in self.members:
                self._ids[member.name] = ask(member.door, "/v2/stats/self")[1]["id"].encode()
            self._stack = stack.pop_all()
        return self


@contextlib.contextmanager
def flows_lost(arena: Ground, rng: random.Random) -> Generator[None]:
    """Some connections to a member die by themselves, in silence; new ones pass."""
    assert isinstance(arena, Arena)
    link = rng.choice(arena.links)
    link.lose_flows(rng)
    yield
    link.end_lost_flows()


Arena.own_faults = {"lose connections to a member": flows_lost}
