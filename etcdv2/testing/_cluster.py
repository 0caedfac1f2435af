"""Owns several servers as one cluster: their start, who leads, healing. A member is a `Server`."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from etcdv2.testing._binary import find_binary
from etcdv2.testing._http import ask
from etcdv2.testing._process import PortTaken, StartFailed, free_port
from etcdv2.testing._server import POLL_SECONDS, START_TRIES, Server
from etcdv2.testing._tls import TLS


class Cluster:
    """`size` real etcd members on 127.0.0.1, named m1, m2, and so on.

    Started by `start` or `with`, removed by `close`. Each of `members` is a `Server`: stop, kill,
    pause, resume and restart it; `move` gives it another address. With one of three down the
    cluster works; with two down it has no leader, and `start(wait=False)` is the way to bring a
    member back.

    The other arguments are those of `Server`.
    """

    def __init__(
        self,
        size: int = 3,
        binary: str | os.PathLike[str] | None = None,
        *,
        tls: TLS | None = None,
        auth: tuple[str, str] | None = None,
        v2: bool = True,
        fsync: bool = True,
        heartbeat_interval: int = 100,
        election_timeout: int = 1000,
        args: Sequence[str] = (),
    ) -> None:
        path = find_binary(binary)

        # A function, since all of them are made again where one of the ports was taken meanwhile.
        def build() -> list[Server]:
            ports = {f"m{number}": free_port() for number in range(1, size + 1)}
            together = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in ports.items())

            return [
                Server(
                    path,
                    name=name,
                    tls=tls,
                    auth=auth,
                    v2=v2,
                    fsync=fsync,
                    heartbeat_interval=heartbeat_interval,
                    election_timeout=election_timeout,
                    port=free_port(),
                    peer_port=peer_port,
                    initial_cluster=together,
                    args=args,
                )
                for name, peer_port in ports.items()
            ]

        self._build: Callable[[], list[Server]] = build
        self._v2 = v2
        self.members = build()
        """In the order of their names, m1 first. Other objects after a `start` that found one of the ports taken."""

    @property
    def endpoints(self) -> list[str]:
        """The client URLs, in the order of `members`."""
        return [member.url for member in self.members]

    @property
    def version(self) -> str:
        """The version of the members' binary, such as `3.5.1`."""
        return self.members[0].version

    @property
    def version_info(self) -> tuple[int, ...]:
        """The version as numbers, for comparisons: `(3, 5, 1)`."""
        return self.members[0].version_info

    def start(self, *, timeout: float = 30) -> Self:
        """Start all members and wait for a leader that all know. Raises `StartFailed`."""
        for tries_left in reversed(range(START_TRIES)):
            try:
                self._start_all(timeout)
                break
            except PortTaken:
                self.close()
                if tries_left == 0:
                    raise
                self.members = self._build()
            except BaseException:
                self.close()
                raise
        return self

    def wait_ready(self, *, timeout: float = 30) -> None:
        """Wait until every member is healthy and all name the same leader. Raises `StartFailed`."""
        deadline = time.monotonic() + timeout
        for member in self.members:
            member.wait_ready(timeout=max(deadline - time.monotonic(), 0.1))
        if self._v2:
            self.leader(timeout=max(deadline - time.monotonic(), 0.1))

    def leader(self, *, timeout: float = 10) -> Server:
        """The member that leads, as soon as all that run and are not paused name the same one.

        Raises `StartFailed` when they do not within `timeout` seconds, and at once when only a
        minority runs (a leader that was left alone calls itself one for a while). Asks
        /v2/stats/self.
        """
        deadline = time.monotonic() + timeout
        while True:
            # 1. Who can answer: at least a majority.
            able = [member for member in self.members if member.running and not member.paused]
            if 2 * len(able) <= len(self.members):
                raise StartFailed(f"no leader: only {len(able)} of {len(self.members)} members run")

            # 2. Whom they name: all the same one, and that one itself.
            seen = [_leader_and_self(member) for member in able]
            leads = {leader for leader, _ in seen}
            for member, (leader, own) in zip(able, seen, strict=True):
                if leader and leader == own and leads == {own}:
                    return member

            if time.monotonic() > deadline:
                raise StartFailed(f"no leader that all of {len(able)} running members know within {timeout:.3g} s")
            time.sleep(POLL_SECONDS)

    def followers(self, *, timeout: float = 10) -> list[Server]:
        """The members that do not lead, running or not."""
        leader = self.leader(timeout=timeout)
        return [member for member in self.members if member is not leader]

    def move(self, member: Server, *, timeout: float = 30) -> None:
        """Restart this member with other client and peer URLs, as on a machine with a new address.

        The leader gets the peer URL first. Waits until all members are ready. Raises `StartFailed`.
        """
        # 1. The cluster learns the peer URL.
        door, peer_port = self.leader(timeout=timeout).door, free_port()
        peer_url = f"http://127.0.0.1:{peer_port}"
        known = ask(door, "/v2/members")[1]["members"]
        ident = next(one["id"] for one in known if one["name"] == member.name)
        status, answer = ask(door, f"/v2/members/{ident}", "PUT", {"peerURLs": [peer_url]}, timeout=timeout)
        if status != 204:
            raise StartFailed(f"the new peer URL of {member.name} was refused: {status} {answer}")

        # 2. So does every member's command line.
        for one in self.members:  # for a first start after `wipe`; a later one goes by the data
            together = dict(pair.split("=", 1) for pair in (one.initial_cluster or "").split(","))
            together[member.name] = peer_url
            one.initial_cluster = ",".join(f"{name}={url}" for name, url in together.items())

        # 3. The member itself begins to use it.
        member.restart(new_address=True, peer_port=peer_port, wait=False)
        self.wait_ready(timeout=timeout)

    def heal(self, *, timeout: float = 30) -> None:
        """Resume and start every member that is not there, and wait until all are ready."""
        for member in self.members:
            if member.paused:
                member.resume()
            member.start(wait=False)
        self.wait_ready(timeout=timeout)

    def clean(self) -> None:
        """Healed and empty as by `Server.clean`, or where that is not enough, wiped and started."""
        try:
            self.heal(timeout=10)
            # Each of them, so that a local read of any member finds nothing afterwards.
            done = [member.empty(members=len(self.members)) for member in self.members]
        except StartFailed:
            done = [False]
        if not all(done):
            for member in self.members:
                member.kill()
                member.wipe()
            self._start_all(30)

    def close(self) -> None:
        """End all processes at once and remove their directories. Safe to call again."""
        for member in self.members:
            member.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<etcd cluster {self.members!r}>"

    def _start_all(self, timeout: float) -> None:
        for member in self.members:
            member.start(wait=False)
        self.wait_ready(timeout=timeout)


def _leader_and_self(member: Server) -> tuple[str, str]:
    """The leader's id as `member` knows it ("" for none), and its own id."""
    try:
        stats = ask(member.door, "/v2/stats/self", timeout=1)[1]
        return stats["leaderInfo"]["leader"], stats["id"]
    except (OSError, http.client.HTTPException, KeyError, TypeError):
        return "", ""
