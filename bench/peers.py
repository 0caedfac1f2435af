"""Who takes part: finds or sets up each client in the cache, and says why one cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import debian
from .debian import NotToBeHad
from .pythons import Python

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"
CLIENTS = Path(__file__).resolve().parent / "clients"
PINS, PEER_PINS = ROOT / "constraints.txt", CLIENTS.parent / "peers.txt"
NODE_ETCD = "node-etcd@7.0.0"
GO_MODULE = "go.etcd.io/etcd/client/v2"
GO_CLIENTS = {(1, 26): "v2.305.35", (1, 24): "v2.305.23", (1, 19): "v2.305.9"}
"""By the go that they need at least; the newest first."""

OURS, OURS_HTTPX, OURS_UVLOOP, OURS_ASYNC = "etcdv2", "etcdv2 on httpx", "etcdv2 on uvloop", "etcdv2 async"
OURS_COMPAT, PYTHON_ETCD = "etcdv2 as python-etcd", "python-etcd"
GO, GO_BARE = "Go client", "Go client, bare"
NODE, WRK, HTTPX, SOCKET, LOADS = "node-etcd", "wrk", "httpx + json", "bare socket", "json.loads"
ALL = frozenset({"get", "set", "threads", "async", "tls", "tree", "load", "delay", "burst"})
WATCHES = frozenset({"delay", "burst"})
JUDGED = frozenset({"complete", "quiet"})
"""The watches whose events and end are compared with what was written."""
FOLLOW = JUDGED | {"loaded"}
PAST = frozenset({"past"})
"""Watches for which the event is there already."""
COUNTS = frozenset({"counts", "async-set"})
"""What is counted, besides the kinds that are timed as well."""


@dataclass(frozen=True)
class Peer:
    name: str
    python: str = ""
    """`3.11` and so on; empty for what is no Python."""
    command: tuple[str, ...] = ()
    """To which the order is added."""
    kinds: frozenset[str] = ALL
    env: dict[str, str] = field(default_factory=dict[str, str])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    free: bool = False
    """Runs on all cores, also where clients are pinned to one."""

    @property
    def id(self) -> str:
        return f"{self.name}, Python {self.python}" if self.python else self.name


@dataclass(frozen=True)
class LeftOut:
    name: str
    reason: str
    case: str = ""
    """Empty: all of them."""


@dataclass(frozen=True)
class PythonClient:
    """A driver in Python. `again`: the kinds of case that it takes part in on further Pythons too."""

    name: str
    module: str
    package: str
    """What pip installs for it, beyond what this client needs; empty for nothing."""
    kinds: frozenset[str]
    again: frozenset[str]
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    pins: Path = PEER_PINS
    """The file that has the package's version."""


PYTHON_CLIENTS = (
    PythonClient(OURS, "ours", "", ALL | FOLLOW | COUNTS | PAST, ALL),
    PythonClient(OURS_HTTPX, "ours", "", ALL, frozenset({"get", "async"}), {"transport": "httpx"}),
    PythonClient(
        OURS_UVLOOP, "ours", "uvloop", frozenset({"async"}) | COUNTS, frozenset({"async"}), {"uvloop": True}, PINS
    ),
    PythonClient(OURS_ASYNC, "ours", "", WATCHES | FOLLOW | {"many"}, WATCHES, {"async": True}),
    PythonClient(
        OURS_COMPAT,
        "python_etcd",
        "",
        frozenset({"get", "set", "threads", "tls", "tree"}) | PAST,
        frozenset({"get", "set"}) | PAST,
        {"module": "etcdv2.compat.python_etcd"},
    ),
    PythonClient(
        PYTHON_ETCD,
        "python_etcd",
        "python-etcd",
        ALL - {"async"} | FOLLOW | PAST | {"counts"},
        frozenset({"get", "set", "tree", "tls"}) | PAST,
        {"module": "etcd"},
    ),
    PythonClient("aio-etcd", "aio_etcd", "aio-etcd", ALL - {"get", "threads"} | JUDGED, frozenset({"async"})),
    PythonClient("k3etcd", "python_etcd", "k3etcd", ALL - {"async"} | JUDGED, frozenset({"get"}), {"module": "k3etcd"}),
    PythonClient(HTTPX, "plain_httpx", "", ALL - {"load", "delay", "burst"} | COUNTS, frozenset({"get"})),
    PythonClient(
        SOCKET, "bare_socket", "", frozenset({"get", "set", "tls", "counts"}), frozenset({"get", "set", "tls"})
    ),
    PythonClient(LOADS, "bare_socket", "", frozenset({"tree"}), frozenset({"tree"})),
)


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What the command printed. Raises NotToBeHad with the last thing that it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
        raise NotToBeHad(f"{Path(command[0]).name}: {lines[-1]}")
    return done.stdout


def all_peers(pythons: list[Python], progress: Callable[[str], None]) -> tuple[list[Peer], list[LeftOut]]:
    """Those that are ready, and those that are not."""
    peers: list[Peer] = []
    missing: list[LeftOut] = []

    # On the first Python all of them, on the others what a goal asks for.
    for number, python in enumerate(pythons):
        progress(f"setting up the clients for Python {python.full}")
        for client, ready in python_clients(python):
            if isinstance(ready, LeftOut):
                missing.append(ready)
            elif number == 0:
                peers.append(ready)
            else:
                peers.append(Peer(ready.name, ready.python, ready.command, client.again, ready.env, ready.options))

    for name, make in ((GO, go_client), (GO_BARE, bare_go_client), (NODE, node_client), (WRK, wrk)):
        progress(f"setting up {name}")
        try:
            peers.append(make())
        except NotToBeHad as reason:
            missing.append(LeftOut(name, str(reason)))
    return peers, missing


def python_clients(python: Python) -> Iterator[tuple[PythonClient, Peer | LeftOut]]:
    """All the drivers in Python, with their packages in an environment of this Python."""
    place = CACHE / f"python{python.full}"
    interpreter = place / "bin" / "python"
    trouble = ""

    # They share one environment: where it cannot be made, all of this Python are left out.
    try:
        if not interpreter.exists():
            run(python.path, "-m", "venv", "--without-pip", place)
        install(interpreter, ["pydantic", "httpx", "httptools"], PINS)
    except NotToBeHad as reason:
        trouble = str(reason)

    for client in PYTHON_CLIENTS:
        full = f"{client.name}, Python {python.minor}"
        try:
            if trouble:
                raise NotToBeHad(trouble)
            if client.package:
                install(interpreter, [client.package], client.pins)
        except NotToBeHad as reason:
            yield client, LeftOut(full, str(reason))
            continue
        yield client, python_peer(client, interpreter, python.minor)


def python_peer(client: PythonClient, interpreter: str | Path, minor: str) -> Peer:
    """A driver in Python, on an interpreter that has its packages."""
    command = (str(interpreter), "-m", f"bench.clients.{client.module}")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "generated")])
    return Peer(client.name, minor, command, client.kinds, {"PYTHONPATH": paths}, client.options)


def install(interpreter: Path, packages: list[str], pins: Path) -> None:
    """With pip of the running Python, unless the very versions are there."""
    wanted = dict(line.split("==") for line in pins.read_text().splitlines() if "==" in line)
    check = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    done = subprocess.run([interpreter, "-c", check, *packages], capture_output=True, text=True, check=False)
    if done.stdout.split() == [wanted.get(package) for package in packages]:
        return
    options = ["--quiet", "--disable-pip-version-check", "--constraint", str(pins)]
    run(sys.executable, "-m", "pip", "--python", interpreter, "install", *options, *packages)


def go_client() -> Peer:
    """The official client, built from its module with the go that is there; another one is not fetched.

    As its documentation shows it, with a time limit, and as Go programs run, on all cores.
    """
    go = shutil.which("go")
    if go is None:
        raise NotToBeHad("go is not on the PATH")
    least, client = go_client_for(run(go, "env", "GOVERSION"))

    # The module is thrown away with the cache, which go's own downloads go into as well.
    place = CACHE / "go"
    place.mkdir(parents=True, exist_ok=True)
    (place / "go.mod").write_text(f"module bench\n\ngo {least}\n\nrequire {GO_MODULE} {client}\n")
    shutil.copy(CLIENTS / "official.go", place / "main.go")
    env = {**os.environ, "GO111MODULE": "on", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    env |= {"GOPATH": str(CACHE / "gopath"), "GOCACHE": str(CACHE / "go-build")}

    # go knows by itself whether what it built is still up to date.
    binary = place / "official"
    run(go, "build", "-mod=mod", "-modcacherw", "-buildvcs=false", "-o", binary, ".", env=env, cwd=place)
    kinds = ALL | FOLLOW | {"many"}
    return Peer(GO, command=(str(binary),), kinds=kinds, options={"limit": 5.0}, free=True)


def go_client_for(said: str) -> tuple[str, str]:
    """The go that the newest client for this one needs, and that client. Raises NotToBeHad."""
    found = re.search(r"go(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    for least, client in GO_CLIENTS.items():
        if version >= least:
            return f"{least[0]}.{least[1]}", client
    raise NotToBeHad(f"{said.strip()} is older than the official client needs")


def bare_go_client() -> Peer:
    """The same at its cheapest: on one core, without a time limit."""
    return replace(go_client(), name=GO_BARE, kinds=ALL, options={}, free=False)


def node_client() -> Peer:
    """node-etcd from npm, on the machine's node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotToBeHad("node and npm are not on the PATH")
    place = CACHE / "node"
    if not (place / "node_modules" / "node-etcd").is_dir():
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text('{"name": "bench", "private": true}\n')
        run(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", NODE_ETCD, cwd=place)
    run(node, "-e", "require('node-etcd')", cwd=place)
    command = (node, "--no-deprecation", str(CLIENTS / "node_etcd.js"), str(place))
    return Peer(NODE, command=command, kinds=ALL - {"threads"} | JUDGED)


def wrk() -> Peer:
    """The load generator in C: the limit of what the server gives."""
    binary = shutil.which("wrk")
    env: dict[str, str] = {}
    if binary is None:
        place = debian.unpacked(debian.WRK, CACHE) / "usr"
        binary = str(place / "bin" / "wrk")
        env["LD_LIBRARY_PATH"] = os.pathsep.join(str(path) for path in (place / "lib").glob("*-linux-*"))
    done = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False, env={**os.environ, **env})
    if not done.stdout.startswith("wrk "):
        raise NotToBeHad(f"wrk does not run: {done.stderr.strip()}")
    return Peer(WRK, command=(binary,), kinds=frozenset({"get", "set", "threads", "async", "tls"}), env=env)
