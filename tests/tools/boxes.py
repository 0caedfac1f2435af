"""Real middle boxes before real servers: nginx and haproxy from Debian's packages, unpacked into the cache.

Owns where their programs are, their configuration, and their processes: on 127.0.0.1, with private
directories, ended by process id. Nothing is installed. `python -m tests.tools.boxes` downloads what
is missing; tests only take what is there, and say what was left out and why.
"""

from __future__ import annotations

import contextlib
import http.client
import platform
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from etcdv2.testing._process import Process, free_port
from tests.tools import downloads
from tests.tools.fault_server import Behaviour, FaultServer, Peer, answer_bytes
from tests.tools.waiting import SOON, until

CACHE = Path(__file__).resolve().parents[2] / ".cache"
LIBRARIES = (
    *("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1", "libpcre2-8-0", "libssl3", "zlib1g", "libcrypt1"),
    *("libsystemd0", "libcap2", "libgcrypt20", "liblz4-1", "liblzma5", "libzstd1", "libgpg-error0"),
    *("libstdc++6", "libgcc-s1"),
)
"""All but the C library."""
PACKAGES = ("nginx", "haproxy", *LIBRARIES)
PROGRAMS = ("nginx", "haproxy")
PLACE = CACHE / "debian" / "boxes"
REASON = CACHE / "debian" / "boxes.missing"
"""Why the last download failed."""


def fetch() -> str:
    """Download and unpack what is not there yet. Returns why that is not possible, else an empty text."""
    return downloads.fetch(PACKAGES, CACHE, PLACE, REASON, without=None)


def missing() -> dict[str, str]:
    """Programs that are not there, and why."""
    lacking = [program for program in PROGRAMS if not (PLACE / "usr" / "sbin" / program).is_file()]
    return dict.fromkeys(lacking, downloads.why_not("boxes", REASON))


class Behind(Protocol):
    """A server of 127.0.0.1 that a box goes to."""

    @property
    def port(self) -> int: ...


# --- one box ---------------------------------------------------------------------------------------------------------


class Box:
    """One program in front of servers, listening on `port`, which it keeps over restarts.

    `with` starts and removes it. `configuration` is written from the port, the servers' ports and
    the box's private directory.
    """

    def __init__(
        self, program: str, configure: Callable[[int, Sequence[int], Path], str], ports: Sequence[int]
    ) -> None:
        self._program = program
        self._configure = configure
        self._ports = list(ports)
        self._process = Process()
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it takes connections."""
        place, file = self._process.directory, self._process.directory / "configuration"
        file.write_text(self._configure(self.port, self._ports, place))
        options = (
            ["-p", place, "-e", self._process.log, "-c", file] if self._program == "nginx" else ["-db", "-f", file]
        )
        libraries = [PLACE / root / f"{platform.machine()}-linux-gnu" for root in ("usr/lib", "lib")]
        program = PLACE / "usr" / "sbin" / self._program
        self._process.spawn(
            ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries[0]}:{libraries[1]}", str(program), *map(str, options)]
        )
        until(self._answers, lambda: self._process.failure(f"{self._program} does not start"))

    def _answers(self) -> bool:
        if self._process.pid is None:
            raise self._process.failure(f"{self._program} has ended")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Ended as by a machine that fails: every connection is cut, and new ones are refused."""
        self._process.kill()

    def restart(self) -> None:
        self.stop()
        time.sleep(0.2)
        self.start()

    def pause(self) -> None:
        """Nothing goes through from now on; connections stay."""
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    @property
    def log(self) -> str:
        return self._process.log.read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.close()


class Relay(FaultServer):
    """Between a box and a real server, counts the writes that arrive and carries each out.

    `instead` has what is done in place of the next answers to writes; relays may share it.
    """

    def __init__(self, port: int, instead: deque[Callable[[Peer], object]]) -> None:
        super().__init__(default=Behaviour(self._act))
        self._target = port
        self._instead = instead
        self.writes = 0

    def _act(self, peer: Peer) -> bool:
        received = peer.received
        assert received is not None
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._target, timeout=SOON)) as connection:
            kind = received.headers.get("content-type", "")
            connection.request(received.method, received.target, received.body, {"Content-Type": kind})
            answer = connection.getresponse()
            body = answer.read()  # of a watch, too: of what is in the history

        if received.method != "GET":
            self.writes += 1
            if self._instead:
                self._instead.popleft()(peer)
                return False
        etcds = {name: value for name, value in answer.getheaders() if name.startswith(("X-", "Content-Type"))}
        peer.send(answer_bytes(answer.status, etcds, body))
        return True


# --- configurations --------------------------------------------------------------------------------------------------


def nginx(servers: Sequence[Behind], *lines: str) -> Box:
    """As it comes, which means `proxy_buffering on` and HTTP/1.0 to the servers; `lines` go into `location /`."""

    def configure(port: int, ports: Sequence[int], place: Path) -> str:
        own = "".join(
            f"{name}_temp_path {place}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        behind = " ".join(f"server 127.0.0.1:{one};" for one in ports)
        return (
            f"daemon off; master_process off; pid {place}/pid;\n"
            "events { worker_connections 2000; }\n"
            f"http {{ access_log off; {own}\n"
            f"  upstream etcd {{ {behind} }}\n"
            f"  server {{ listen 127.0.0.1:{port};\n"
            f"    location / {{ proxy_pass http://etcd; {' '.join(lines)} }} }} }}\n"
        )

    return Box("nginx", configure, [server.port for server in servers])


def nginx_by_path(usual: Behind, other: Behind, *paths: str) -> Box:
    """As docs/how-to/proxy.md says, and all to the `usual` server, but what begins with one of `paths` to the `other`.

    As a balancer that goes by a hash of the path.
    """
    elsewhere = (
        f"location {path} {{ proxy_pass http://127.0.0.1:{other.port}; {' '.join(UNBUFFERED)} }}" for path in paths
    )
    return nginx([usual], *UNBUFFERED, "}", *(one.removesuffix("}") + "}" for one in elsewhere), "location = /none {")


UNBUFFERED = (
    "proxy_buffering off;",
    "proxy_http_version 1.1;",
    'proxy_set_header Connection "";',
    "proxy_next_upstream off;",
    "proxy_read_timeout 1h;",
)
"""What docs/how-to/proxy.md says that nginx has to be given."""


def haproxy(servers: Sequence[Behind], mode: str, *lines: str) -> Box:
    """With health checks and limits as docs/how-to/proxy.md has them; `lines` go into the backend."""

    def configure(port: int, ports: Sequence[int], place: Path) -> str:
        check = "  option httpchk GET /health\n" if mode == "http" else ""
        behind = "".join(f"  server s{number} 127.0.0.1:{one} check inter 500ms\n" for number, one in enumerate(ports))
        return (
            f"defaults\n  mode {mode}\n  balance roundrobin\n  timeout connect 2s\n  timeout client 1h\n"
            "  timeout server 1h\n  timeout tunnel 1h\n  retries 0\n"
            f"frontend in\n  bind 127.0.0.1:{port}\n  default_backend etcd\n"
            f"backend etcd\n{check}{''.join(f'  {line}' + chr(10) for line in lines)}{behind}"
        )

    return Box("haproxy", configure, [server.port for server in servers])


def main() -> int:
    """Download; says what cannot be had. Fails only where `ETCDV2_TEST_BOXES` wants it."""
    return downloads.status("boxes", fetch(), "ETCDV2_TEST_BOXES")


if __name__ == "__main__":
    sys.exit(main())
