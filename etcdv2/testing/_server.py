"""Owns one etcd server: its flags, its ports, when it is ready, and cleaning it."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from etcdv2.testing._binary import find_binary, knows_flag, server_version
from etcdv2.testing._http import Door, ask
from etcdv2.testing._process import PortTaken, Process, StartFailed, free_port, is_free
from etcdv2.testing._tls import TLS

START_TRIES = 5
POLL_SECONDS = 0.02


class Server:
    """One real etcd on 127.0.0.1 with a private directory.

    Started by `start`, removed by `close`; `with` does both. Its process never outlives
    the one that started it, whether that ends, is interrupted or is killed.

    binary: the executable; see `find_binary` for where else it is searched. Raises `ServerNotFound`.
    name: the member's name.
    tls: serve https with these files.
    auth: ("root", password): make this user and turn authentication on after the first start.
    v2: whether the v2 API is on.
    fsync: False is faster where etcd can leave it out (3.5); what a killed process had acknowledged
        is kept either way.
    heartbeat_interval, election_timeout: milliseconds; the second at least five times the first.
        The defaults suit a member alone, which waits for an election at each restart; several on a
        busy machine need more.
    port, peer_port: chosen among the free ones when None.
    initial_cluster: `name=peer-url,...` of all members, when this is one of several; itself alone
        when None.
    advertise: the client URL that the cluster has for this member, such as that of a proxy; `url`
        when None. It may be set again, for the next start.
    args: further flags for etcd, which win over the ones above.
    """

    _host = _peer_host = "127.0.0.1"
    _prefix: Sequence[str] = ()
    """What runs etcd's command, such as `ip netns exec NAME`, where all ports are free."""

    def __init__(
        self,
        binary: str | os.PathLike[str] | None = None,
        *,
        name: str = "default",
        tls: TLS | None = None,
        auth: tuple[str, str] | None = None,
        v2: bool = True,
        fsync: bool = True,
        heartbeat_interval: int = 50,
        election_timeout: int = 250,
        port: int | None = None,
        peer_port: int | None = None,
        initial_cluster: str | None = None,
        advertise: str | None = None,
        args: Sequence[str] = (),
    ) -> None:
        self.binary = find_binary(binary)
        """The executable, absolute."""
        self.version = server_version(self.binary)
        """What `etcd --version` says, such as `3.5.1`."""

        # What it is started with.
        self.name = name
        """The member's name, by which `initial_cluster` has its peer URL."""
        self.tls = tls
        """The files with which it serves https; None for plain http."""
        self.auth = auth
        """User and password, with which authentication is turned on after the first start; None leaves it off."""
        self._v2 = v2
        self._tuning = (fsync, heartbeat_interval, election_timeout)
        self._asked_ports = (port, peer_port)
        self._ports = (0, 0)
        self.initial_cluster = initial_cluster
        """`name=peer-url,...` of all members; itself alone when None. etcd reads it only while it has no data."""
        self.advertise = advertise
        """The client URL that the cluster has for it; `url` when None. May be set for the next start."""
        self._args = list(args)

        # What it is now.
        self._context = None if tls is None else tls.probe_context()
        self._process: Process | None = None
        self._auth_is_on = False

    @property
    def version_info(self) -> tuple[int, ...]:
        """The version as numbers, for comparisons: `(3, 5, 1)`."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:3])

    @property
    def port(self) -> int:
        """The client port. Raises `RuntimeError` before the first start."""
        self._started()
        return self._ports[0]

    @property
    def url(self) -> str:
        """The client URL, without a slash at its end."""
        return f"{'http' if self.tls is None else 'https'}://{self._host}:{self.port}"

    @property
    def endpoints(self) -> list[str]:
        """The client URL as a list, as a `Cluster` has it."""
        return [self.url]

    @property
    def peer_url(self) -> str:
        """Where other members reach this one; always plain http."""
        self._started()
        return f"http://{self._peer_host}:{self._ports[1]}"

    @property
    def data_dir(self) -> Path:
        """What `--data-dir` names. Raises `RuntimeError` before the first start, and after `close`."""
        return self._started().directory / "data"

    @property
    def log_file(self) -> Path:
        """What etcd wrote, over all starts."""
        return self._started().log

    @property
    def pid(self) -> int | None:
        """The process id, or None when the server is not running."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self.pid is not None

    @property
    def paused(self) -> bool:
        """Whether `pause` has stopped its process; False when it is not running."""
        return self._process is not None and self._process.paused

    @property
    def door(self) -> Door:
        """How `ask` reaches this server."""
        return Door(self.url, self._context, self.auth if self._auth_is_on else None)

    def start(self, *, wait: bool = True, timeout: float = 30) -> Self:
        """Start, or start again after `stop` or `kill`; nothing happens while it runs.

        wait: until it is ready, at most `timeout` seconds; False where it cannot be, as with no
        quorum. Raises `StartFailed` with the end of the log. Ports that it chose itself and finds
        taken are chosen again.
        """
        if self.running:
            return self

        # Another start may have another port, the first one, or find that its own is free again.
        deadline = time.monotonic() + timeout
        first = self._process is None
        for tries_left in reversed(range(START_TRIES)):
            try:
                self._spawn()
                if wait:
                    self.wait_ready(timeout=max(deadline - time.monotonic(), 0.1))
                break
            except PortTaken:
                if first:
                    self.close()  # forgets the ports
                if tries_left == 0 or (first and None not in self._asked_ports):
                    raise
                time.sleep(0 if first else 0.2)
            except BaseException:
                if first:
                    self.close()
                raise
        return self

    def wait_ready(self, *, timeout: float = 30) -> None:
        """Wait until it has a leader, is healthy and has made its URL known. Raises `StartFailed`."""
        deadline = time.monotonic() + timeout
        while not (self._is_ready(min(2.0, max(deadline - time.monotonic(), 0.1))) and self.running):
            if not self.running:
                raise self._started().failure(f"etcd {self.version} ended")
            if time.monotonic() > deadline:
                raise self._started().failure(f"etcd {self.version} was not ready within {timeout:.3g} s")
            time.sleep(POLL_SECONDS)
        if self.auth is not None and not self._auth_is_on:
            self._enable_auth(*self.auth)

    def stop(self, *, timeout: float = 3) -> None:
        """SIGTERM, and SIGKILL after `timeout` seconds. Data and ports are kept for a next `start`."""
        self._started().terminate(timeout)

    def kill(self) -> None:
        """SIGKILL. Data and ports are kept for another `start`."""
        self._started().kill()

    def pause(self) -> None:
        """SIGSTOP: connections are still accepted by the kernel, nothing is answered."""
        self._started().pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._started().resume()

    def restart(
        self, *, new_address: bool = False, peer_port: int | None = None, wait: bool = True, timeout: float = 30
    ) -> None:
        """Stop, where it still runs, and start with the same data, on the same ports.

        new_address: on another free client port, which the cluster has learned when this member is
        ready. peer_port: on this peer port, which the cluster must know already (`Cluster.move`
        sees to it).
        """
        self.stop()
        port, old_peer_port = self._ports
        self._ports = (free_port() if new_address else port, peer_port or old_peer_port)
        self.start(wait=wait, timeout=timeout)

    def wipe(self) -> None:
        """Forget all data of a stopped server: the next start is a first one, on the same ports."""
        if self.running:
            raise RuntimeError("the server is running: stop or kill it before wipe()")
        shutil.rmtree(self.data_dir, ignore_errors=True)
        self._auth_is_on = False

    def clean(self) -> None:
        """Back to an empty store, quickly: running, resumed, no keys.

        Wiped where users or members were changed. etcd does not list hidden keys (`/_name`): such a
        key directly below the root stays. The index goes on.
        """
        if self.paused:
            self.resume()
        self.start()
        if not self.empty():
            self.kill()
            self.wipe()
            self.start()

    def empty(self, *, members: int = 1) -> bool:
        """Delete all keys. False where that is not enough: after changes of users or members."""
        door, users = self.door, ([] if self.auth is None else [self.auth[0]])
        try:
            if self._auth_enabled() != self._auth_is_on:
                return False
            for node in ask(door, "/v2/keys/")[1]["node"].get("nodes", ()):
                ask(door, "/v2/keys" + quote(node["key"]) + "?recursive=true", "DELETE")
            known = [user["user"] for user in ask(door, "/v2/auth/users")[1]["users"] or ()]
            return known == users and len(ask(door, "/v2/members")[1]["members"]) == members
        except (OSError, http.client.HTTPException, KeyError, TypeError):
            return False

    def close(self) -> None:
        """End the process at once and remove its directory. Safe to call again."""
        process, self._process = self._process, None
        self._auth_is_on = False
        if process is not None:
            process.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "not started" if self._process is None else self.url
        return f"<etcd {self.version} {self.name!r} {where}>"

    def _started(self) -> Process:
        if self._process is None:
            raise RuntimeError("the server was not started yet, or is closed")
        return self._process

    def _spawn(self) -> None:
        if self._process is None:
            port, peer_port = self._asked_ports
            self._ports = (port or free_port(), peer_port or free_port())
            self._process = Process()
        for taken in () if self._prefix else self._ports:
            if not is_free(taken):  # or a stranger's health would pass for this server's
                raise PortTaken(f"somebody else listens on 127.0.0.1:{taken}")
        self._process.spawn([*self._prefix, self.binary, *self._flags(), *self._args])

    def _flags(self) -> list[str]:
        fsync, heartbeat, election = self._tuning
        flags = [
            f"--name={self.name}",
            f"--data-dir={self.data_dir}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.advertise or self.url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={self.initial_cluster or f'{self.name}={self.peer_url}'}",
            f"--heartbeat-interval={heartbeat}",
            f"--election-timeout={election}",
        ]

        # Flags that only some versions have.
        if knows_flag(self.binary, "enable-v2"):
            flags.append(f"--enable-v2={str(self._v2).lower()}")
        if not fsync and knows_flag(self.binary, "unsafe-no-fsync"):
            flags.append("--unsafe-no-fsync")

        return flags + ([] if self.tls is None else self.tls.flags())

    def _is_ready(self, timeout: float) -> bool:
        try:
            status, health = ask(self.door, "/health", timeout=timeout)
            if status != 200 or health.get("health") != "true":
                return False

            # A member makes its client URL known to the cluster only after it is healthy.
            if not self._v2:
                return True
            members = ask(self.door, "/v2/members", timeout=timeout)[1]["members"]
            return any((self.advertise or self.url) in member["clientURLs"] for member in members)
        except (OSError, http.client.HTTPException, AttributeError, KeyError, TypeError):
            return False

    def _enable_auth(self, user: str, password: str) -> None:
        if not self._auth_enabled():
            body = {"user": user, "password": password}
            answers = [
                ask(self.door, f"/v2/auth/users/{quote(user)}", "PUT", body),
                ask(self.door, "/v2/auth/enable", "PUT"),
            ]
            if not self._auth_enabled():
                raise StartFailed(f"authentication could not be turned on: {answers}")
        self._auth_is_on = True

    def _auth_enabled(self) -> bool:
        """Anybody may ask, also with authentication on. Another member may have turned it on."""
        return ask(self.door, "/v2/auth/enable")[1]["enabled"] is True
