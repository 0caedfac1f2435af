"""The ground of a chaos run that drops packets: each member in a network namespace of its own (Linux, root)."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Generator, Sequence
from typing import Any, Self

from etcdv2.testing import Cluster, Server
from tests.chaos.ground import SNAPSHOTS, Ground
from tests.chaos.network import CLIENT_PORT, ROOT, Line, Network, NotAllowed, why_not
from tests.chaos.schedule import Choice, Fault, follower, leader

PEER_PORT = 2380


class Housed(Server):
    """A member in a network namespace. It listens on all its addresses for clients; `url` is the one of `host`."""

    def __init__(self, space: str, host: str, peer_host: str, *arguments: Any, **options: Any) -> None:
        everywhere = f"--listen-client-urls=http://0.0.0.0:{CLIENT_PORT}"
        super().__init__(*arguments, port=CLIENT_PORT, peer_port=PEER_PORT, args=[everywhere, SNAPSHOTS], **options)
        self._prefix = ["ip", "netns", "exec", space]
        self._host, self._peer_host = host, peer_host
        self.space = space


class Namespaces(Ground):
    """A cluster of three, each with two lines to the clients' namespace (one is never at fault) and one to each other.

    `move` leaves the old address behind as one that nobody answers at, not even with a refusal.
    """

    name = "namespaces"
    drops = True

    def __init__(self, binary: str | os.PathLike[str] | None = None) -> None:
        self._binary = binary
        self.cluster = Cluster(3, binary)
        self.lines: list[Line] = []
        self._mesh: list[tuple[Line, set[str]]] = []
        self._stack = contextlib.ExitStack()

    @property
    def endpoints(self) -> list[str]:
        return [line.url for line in self.lines]

    @property
    def ways(self) -> Sequence[Line]:
        return self.lines

    @property
    def peer_ways(self) -> Sequence[Line]:
        return [line for line, _ in self._mesh]

    def cut_off(self, member: Server) -> None:
        for line in self._among(member):
            line.stall()

    def half_cut_off(self, member: Server, *, deaf: bool) -> None:
        """The others do not hear this member, or, when it is deaf, it does not hear them."""
        for line in self._among(member):
            own = line.end(_space(member))
            line.silence(next(end for end in line.ends if (end is own) != deaf))

    def _among(self, member: Server) -> list[Line]:
        return [line for line, spaces in self._mesh if _space(member) in spaces]

    def move(self, member: Server) -> None:
        number = self.members.index(member)
        self.lines[number].stall()
        self.lines[number] = self._line(_space(member))
        member.advertise = self.lines[number].url
        member.start(wait=False)

    def mend(self) -> None:
        for line in [*self.lines, *self.peer_ways]:
            line.mend()

    def _line(self, space: str, address: str = "") -> Line:
        """For clients. Their end has an address of its own, or the member would answer over any of its lines."""
        return self._network.line(ROOT, self._network.address(), space, address or self._network.address())

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._network = network = stack.enter_context(Network())
            peers, hosts = ({space: network.address() for space in network.spaces} for _ in range(2))
            self._mesh = [
                (network.line(one, peers[one], two, peers[two]), {one, two})
                for one in network.spaces
                for two in network.spaces
                if one < two
            ]
            self.lines = [self._line(space) for space in network.spaces]
            together = ",".join(f"m{n}=http://{peers[space]}:{PEER_PORT}" for n, space in enumerate(network.spaces, 1))
            self.cluster.members = [
                Housed(
                    space,
                    hosts[space],
                    peers[space],
                    self._binary,
                    name=f"m{number}",
                    fsync=False,
                    heartbeat_interval=50,
                    election_timeout=500,
                    initial_cluster=together,
                    advertise=line.url,
                )
                for number, (space, line) in enumerate(zip(network.spaces, self.lines, strict=True), 1)
            ]
            for space, address in hosts.items():
                self._line(space, address)
            stack.enter_context(self.cluster)
            self._stack = stack.pop_all()
        return self


def _space(member: Server) -> str:
    assert isinstance(member, Housed)
    return member.space


def half_cut_off(choice: Choice, *, deaf: bool) -> Fault:
    @contextlib.contextmanager
    def fault(arena: Ground, rng: random.Random) -> Generator[None]:
        assert isinstance(arena, Namespaces)
        for member in choice(arena, rng):
            arena.half_cut_off(member, deaf=deaf)
        yield
        arena.mend()

    return fault


@contextlib.contextmanager
def lossy(arena: Ground, rng: random.Random) -> Generator[None]:
    """On one line or another, in one direction or both, nothing passes for a moment; TCP sends it again."""
    assert isinstance(arena, Namespaces)
    over = threading.Event()

    def lose() -> None:
        while not over.is_set():
            line = rng.choice([*arena.lines, *arena.peer_ways])
            for end in rng.sample(line.ends, rng.choice([1, 1, 2])):
                line.silence(end)
            over.wait(rng.uniform(0.02, 0.1))
            line.go()
            over.wait(rng.uniform(0.0, 0.05))

    thread = threading.Thread(target=lose)
    thread.start()
    yield
    over.set()
    thread.join()


Namespaces.own_faults = {
    "deafen leader": half_cut_off(leader, deaf=True),
    "deafen follower": half_cut_off(follower, deaf=True),
    "mute leader": half_cut_off(leader, deaf=False),
    "mute follower": half_cut_off(follower, deaf=False),
    "lossy links": lossy,
}


def choose(wish: str) -> str:
    """`namespaces`, `proxies`, or `auto` for the first where it can be had. Raises `NotAllowed` for what cannot."""
    if wish == "proxies" or (wish == "auto" and why_not()):
        return "proxies"
    if reason := why_not():
        raise NotAllowed(f"no network namespaces here: {reason}")
    return "namespaces"
