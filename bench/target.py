"""The one etcd that all are measured on: its flags, its certificates, the keys in it, and who writes the events."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from etcdv2.testing import Server, make_certificates
from etcdv2.testing._process import free_port

from .cases import VALUE, Case
from .clients.bare_socket import Wire, index_of
from .cores import Cores, on
from .peers import ROOT, Peer
from .relay import Relay

HOST = "127.0.0.1"
GET_KEY = "/bench/one"
TREE = "/bench/tree"
EVENTS = "/bench/events"
MANY = "/bench/many"
QUIET = "/bench/quiet"
OTHERS = "/bench/others"
DIRECTORIES = 50
WRITERS = 8


@dataclass
class Others:
    """Writes of other keys."""

    rate: float = 0.0
    """How many they were per second, when they have ended."""


class Etcd:
    """Serves http and https at once, from one store. Without fsync: the disk is not what is compared here."""

    def __init__(self, scratch: Path, cores: Cores, binary: str | None) -> None:
        made = make_certificates(scratch / "certificates")
        self.ca = made.ca_file
        self._ports = (free_port(), free_port())
        plain = self.url(tls=False)
        args = [
            f"--listen-client-urls={plain},{self.url(tls=True)}",
            f"--cert-file={made.server_cert_file}",
            f"--key-file={made.server_key_file}",
            "--snapshot-count=100000000",  # a snapshot of the tree in the midst of a measurement would be noise
        ]
        self._server = Server(binary, port=self._ports[0], fsync=False, args=args)
        self._cores = cores
        self._wire: Wire | None = None
        self._relay: Relay | None = None

    @property
    def binary(self) -> Path:
        return self._server.binary

    def url(self, *, tls: bool) -> str:
        return f"{'https' if tls else 'http'}://{HOST}:{self._ports[tls]}"

    def way(self, case: Case) -> str:
        """How the clients come here."""
        if not case.cut:
            return self.url(tls=case.tls)
        if self._relay is None:
            self._relay = Relay(self._ports[0])
        return f"http://{HOST}:{self._relay.port}"

    def cut(self) -> None:
        """Break the connections that came by a way that can be cut."""
        if self._relay is not None:
            self._relay.cut()

    def key(self, case: Case, peer: Peer) -> str:
        """Where a case reads or writes; writers each have a key or directory of their own."""
        own = "".join(letter if letter.isalnum() else "-" for letter in peer.id)
        places = {"tree": TREE, "set": f"/bench/set/{own}", "load": "/bench/load", "many": MANY, "quiet": QUIET}
        places["async-set"] = places["set"]
        places |= dict.fromkeys(("delay", "burst", "loaded", "complete"), EVENTS)
        return places.get(case.kind, GET_KEY)

    @property
    def version(self) -> str:
        return self._server.version

    def __enter__(self) -> Self:
        with on(self._cores.server):
            self._server.start()
        try:
            self.write([(GET_KEY, VALUE)])
        except BaseException:
            self._server.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._relay is not None:
            self._relay.close()
        self._server.close()

    def write(self, pairs: list[tuple[str, str]]) -> None:
        """All of them, from a few connections at once."""
        failures: list[BaseException] = []

        def work(share: list[tuple[str, str]]) -> None:
            try:
                wire = Wire(HOST, self._ports[0])
                for key, value in share:
                    wire.exchange(wire.put(key, value))
                wire.close()
            except BaseException as error:
                failures.append(error)

        # A connection waits for each answer: with several of them the server has always something to do.
        running = [threading.Thread(target=work, args=(pairs[number::WRITERS],)) for number in range(WRITERS)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

        if failures:
            raise failures[0]

    def plant(self, keys: int) -> None:
        """The tree that the recursive read reads."""
        self.write([(f"{TREE}/d{number % DIRECTORIES:02}/k{number:06}", VALUE) for number in range(keys)])

    def fell(self, key: str) -> None:
        """Delete a directory, if it is there."""
        wire = self._own()
        request = wire.get(f"/v2/keys{key}?recursive=true").replace(b"GET", b"DELETE", 1)
        try:
            wire.exchange(request)
        except ValueError:  # not there, and the rest of the answer was not read
            wire.close()
            self._wire = None

    def watchers(self) -> int:
        """How many watches the server has."""
        wire = self._own()
        return int(json.loads(wire.exchange(wire.get("/v2/stats/store"))[1])["watchers"])

    def index(self) -> int:
        wire = self._own()
        return index_of(wire.exchange(wire.get(f"/v2/keys{GET_KEY}"))[0])

    def events(self, count: int, pause: float) -> None:
        """Write keys one after the other, with the time of each as its value."""
        wire = self._own()
        for number in range(count):
            key = f"{EVENTS}/k{number % 10}"
            wire.exchange(wire.put(key, str(time.monotonic_ns())))
            if pause:
                time.sleep(pause)

    def happen(self, number: int, key: str = f"{EVENTS}/one") -> None:
        """Write a key, with a number and the time as its value."""
        wire = self._own()
        wire.exchange(wire.put(key, f"{number} {time.monotonic_ns()}"))

    @contextmanager
    def others(self, rate: int) -> Generator[Others]:
        """A process that writes other keys meanwhile, so many per second."""
        order = {"host": HOST, "port": self._ports[0], "directory": OTHERS, "rate": rate}
        command = [sys.executable, "-m", "bench.clients.writer", json.dumps(order)]
        others = Others()

        # A process of its own: in a thread it would take turns with the program that compares.
        with (
            on(self._cores.server),
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process,
        ):
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield others
            finally:
                said, _ = process.communicate()

        written, seconds = json.loads(said)
        others.rate = written / seconds

    def _own(self) -> Wire:
        if self._wire is None:
            self._wire = Wire(HOST, self._ports[0])
        return self._wire
