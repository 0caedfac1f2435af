"""Runs one client for one case: starts its process, asks it for one measurement at a time, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from .cases import ASYNC, VALUE, Case
from .cores import Cores, on
from .peers import CLIENTS, ROOT, WRK, Peer

Figures = dict[str, Any]
LIMIT_SECONDS = 90.0
"""Seconds for a start with warm-up, or for one measurement."""


class Failed(Exception):
    """The client could not do it, in the words it left on stderr."""


class Target(Protocol):
    """The server, as the drivers see it."""

    @property
    def ca(self) -> Path: ...
    def url(self, *, tls: bool) -> str: ...
    def way(self, case: Case) -> str: ...
    def key(self, case: Case, peer: Peer) -> str: ...


def environment(peer: Peer) -> dict[str, str]:
    """Without what would send calls through a proxy, or keep Python from storing its byte code."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **peer.env}


class Driver:
    """A process that answers a line of JSON with a line of JSON."""

    def __init__(self, peer: Peer, case: Case, target: Target, cores: Cores) -> None:
        # 1. What it is to measure.
        url = target.way(case)
        host, _, port = url.partition("://")[2].partition(":")
        order = {
            "case": case.kind,
            "url": url,
            "host": host,
            "port": int(port),
            "seconds": case.seconds,
            "warm": case.warm,
            "key": target.key(case, peer),
            "value": VALUE,
            "keys": case.keys,
            "workers": case.workers,
            "ca": str(target.ca) if case.tls else "",
            "options": {**peer.options, **({"async": True} if case.kind in ASYNC else {})},
        }

        # 2. Its process. What it says on stderr is read only when it fails, and a file never fills up as a pipe does.
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by close()
        try:
            with on(cores.client | cores.server if peer.free else cores.client):
                self._process = subprocess.Popen(
                    [*peer.command, json.dumps(order)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=environment(peer),
                    cwd=ROOT,
                )
        except OSError:
            self._errors.close()
            raise

        self._buffer = b""
        self.versions: dict[str, str] = {}

    def ready(self) -> None:
        """Wait for the end of the warm-up. Raises Failed."""
        self.versions = self._read().get("versions", {})

    def begin(self, said: Figures) -> None:
        """Begin a measurement. Raises Failed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._failure("ended") from None

    def result(self, limit: float = LIMIT_SECONDS) -> Figures:
        """The figures of the measurement. Raises Failed."""
        return self._read(limit)

    def answered(self, seconds: float) -> bool:
        """Whether the figures are there, or the end of the process, within this time."""
        assert self._process.stdout is not None
        if b"\n" in self._buffer:
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return bool(selector.select(max(0.0, seconds)))

    def close(self) -> None:
        process = self._process
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._errors.close()

    def _read(self, limit: float = LIMIT_SECONDS) -> Figures:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        end = time.monotonic() + limit

        # The descriptor is read, not the file object: a selector does not see what a buffer already holds.
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise self._failure(f"no answer within {limit:.0f} s")
                data = os.read(descriptor, 1 << 16)
                if not data:
                    raise self._failure("ended")
                self._buffer += data

        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            answer: Figures = json.loads(line)
        except ValueError:
            raise self._failure(f"said {line[:80]!r}") from None
        return answer

    def _failure(self, what: str) -> Failed:
        if what == "ended":
            self._process.wait(3)
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        return Failed(lines[-1] if lines else what)


class Wrk:
    """The same face for wrk, which is started again for each measurement and only knows whole seconds."""

    def __init__(self, peer: Peer, case: Case, target: Target, cores: Cores) -> None:
        script = ["-s", str(CLIENTS / "put.lua")] if case.kind == "set" else []
        url = f"{target.url(tls=case.tls)}/v2/keys{target.key(case, peer)}"
        self._command = [*peer.command, "-t1", f"-c{case.workers}", "-d1s", *script, url]
        self._env = environment(peer)
        self._cores = cores
        self._process: subprocess.Popen[bytes] | None = None
        self.versions: dict[str, str] = {}

    def ready(self) -> None:
        pass

    def begin(self, said: Figures) -> None:
        del said
        with on(self._cores.client):
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._env
            )

    def result(self) -> Figures:
        process, self._process = self._process, None
        assert process is not None
        assert process.stdout is not None
        with process.stdout:
            text = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return read_wrk(text, usage.ru_utime + usage.ru_stime)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def read_wrk(text: str, cpu: float) -> Figures:
    """The figures in what wrk prints. Raises Failed."""
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", text)
    if found is None or "Non-2xx" in text:
        raise Failed((text.strip().splitlines() or ["wrk said nothing"])[-1].strip())
    seconds = float(found[2]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[found[3]]
    return {"calls": int(found[1]), "seconds": seconds, "cpu": cpu}


def start(peer: Peer, case: Case, target: Target, cores: Cores) -> Driver | Wrk:
    """The process, and its warm-up under way. Raises Failed."""
    try:
        return (Wrk if peer.name == WRK else Driver)(peer, case, target, cores)
    except OSError as error:
        raise Failed(str(error)) from error
