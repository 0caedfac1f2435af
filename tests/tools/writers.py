"""Writers past the client under test, with raw requests, that know what they did and the index of each.

`write_all` writes what it is given, `BusyWriter` whatever makes an event, at a `Pace`, and
`foreign_writes` what nobody under test looks at. They share nothing with the client.
Owns no idea of what a watcher should see.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, TypedDict
from urllib.parse import urlencode, urlsplit

from etcdv2.testing import Server
from tests.tools.waiting import SOON, until

REMOVALS = ("delete", "expire", "compareAndDelete")
"""Actions after which a key is not there any more."""


class Rate(TypedDict):
    """How many requests are sent before their answers are read, and the seconds before the next ones."""

    at_once: int
    pause: float


BUSY: Rate = {"at_once": 5, "pause": 0.0015}
"""Some 2,000 writes a second."""
AT_ONCE: Rate = {"at_once": 2000, "pause": 0.0}
"""Some 20,000 a second: for a moment, as no watcher keeps up with that."""


class Write(NamedTuple):
    """One request: `form` goes into the body of a PUT or POST, else into the query."""

    method: str
    key: str
    form: dict[str, str]

    def encode(self) -> bytes:
        body = urlencode(self.form) if self.method != "DELETE" else ""
        query = f"?{urlencode(self.form)}" if self.method == "DELETE" and self.form else ""
        kind = "Content-Type: application/x-www-form-urlencoded\r\n"
        length = f"Content-Length: {len(body)}\r\n"
        return f"{self.method} /v2/keys{self.key}{query} HTTP/1.1\r\nHost: e\r\n{kind}{length}\r\n{body}".encode()


class Done(NamedTuple):
    """What came of it."""

    index: int
    action: str
    key: str
    value: str | None


def done_from(action: str, node: dict[str, Any]) -> Done:
    """What an answer says; of what was removed it has no value."""
    value = None if action in REMOVALS else node.get("value")
    return Done(node["modifiedIndex"], action, node["key"], value)


def put(key: str, value: str, **form: str) -> Write:
    return Write("PUT", key, {"value": value, **form})


def delete(key: str, **form: str) -> Write:
    return Write("DELETE", key, form)


def write_all(port: int, writes: Iterable[Write], *, at_once: int = 20, pause: float = 0.0) -> list[Done]:
    """Carried out one after the other; `at_once` are sent before their answers are read, then `pause` seconds.

    Those that were refused (a failed comparison, say) are left out of the result.
    """
    done: list[Done] = []
    with socket.create_connection(("127.0.0.1", port), timeout=HELD) as sock, sock.makefile("rb") as answers:
        for batch in _batches(iter(writes), at_once):
            sock.sendall(b"".join(write.encode() for write in batch))
            for write in batch:
                done += _read_one(answers, write)
            if pause:
                time.sleep(pause)
    return done


class Writing:
    """`write_all` in a thread of its own; `done` waits for its end."""

    def __init__(self, port: int, writes: Iterable[Write], *, at_once: int = 20, pause: float = 0.0) -> None:
        self._done: list[Done] = []

        def run() -> None:
            self._done = write_all(port, writes, at_once=at_once, pause=pause)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def done(self) -> list[Done]:
        self._thread.join()
        return self._done


def _batches(writes: Iterator[Write], size: int) -> Iterator[list[Write]]:
    while batch := [write for _, write in zip(range(size), writes, strict=False)]:
        yield batch


def _read_one(answers: BinaryIO, write: Write) -> list[Done]:
    status, length = int(answers.readline().split()[1]), -1
    while line := answers.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = json.loads(answers.read(length) if length >= 0 else _read_chunks(answers))
    if status >= 500:
        raise AssertionError(f"{write.method} {write.key}: {body}")
    if status >= 400:
        return []
    node = body["node"]
    return [done_from(body["action"], node)]


def _read_chunks(answers: BinaryIO) -> bytes:
    body = b""
    while size := int(answers.readline(), 16):
        body += answers.read(size)
        answers.readline()
    answers.readline()
    return body


# --- writers of all kinds of changes ---------------------------------------------------------------------------------

ANSWERED = 3.0
"""Seconds that a writer waits for an answer before it takes it for lost."""
HELD = 2 * SOON
"""Seconds within which whoever is behind must have caught up, on any machine."""
BURST, LULL = 2000, 0.3
"""Writes between two lulls, and seconds: a stream falls silent in a lull, and polls take over."""

Ports = Callable[[], list[int]]
"""Where one can ask just now."""


class Record:
    """What all writers together know."""

    def __init__(self) -> None:
        self.done: dict[int, Done] = {}
        self.refreshed: set[int] = set()
        """Indexes without an event."""
        self.unknown: list[Write] = []
        self.mortal: set[str] = set()
        """Keys that were given a TTL."""
        self.last = 0
        """The last index of a change that is not hidden."""
        self.lock = threading.Lock()

    def note(self, write: Write, done: Done | None) -> None:
        """`done`: None where the answer was lost."""
        with self.lock:
            if "ttl" in write.form:
                self.mortal.add(write.key)
            if done is None:
                self.unknown.append(write)
            elif "refresh" in write.form:
                self.refreshed.add(done.index)
            else:
                self.done[done.index] = done
                if "/_" not in done.key:
                    self.last = max(self.last, done.index)


class RoamingWriter:
    """One connection that writes, one request at a time, to whichever member takes it."""

    def __init__(self, ports: Ports, record: Record) -> None:
        self._ports = ports
        self._record = record
        self._sock: socket.socket | None = None

    def write(self, write: Write) -> Done | None:
        """None when it was refused, or nobody was there, or the outcome is unknown; the record knows which."""
        try:
            sock = self._connected()
        except OSError:
            self.close()
            time.sleep(0.05)
            return None
        try:
            sock.sendall(write.encode())
            with http.client.HTTPResponse(sock, method=write.method) as answer:
                answer.begin()
                body: dict[str, Any] = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            body = {"errorCode": 300}
        if "node" in body:
            done = done_from(body["action"], body["node"])
            self._record.note(write, done)
            return done
        if body.get("errorCode", 300) >= 300:  # raft's own errors: it may still be applied
            self.close()
            self._record.note(write, None)
        return None

    def surely(self, key: str, value: str) -> Done:
        """Set this, again where nobody knows whether it was done."""
        ends = time.monotonic() + HELD
        while (done := self.write(put(key, value))) is None:
            assert time.monotonic() < ends, f"{key} cannot be written"
        return done

    def _connected(self) -> socket.socket:
        if self._sock is None:
            self._sock = socket.create_connection(("127.0.0.1", random.choice(self._ports() or [0])), timeout=ANSWERED)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._sock

    def close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


class Pace:
    """Lets all writers together make `rate` changes a second, in bursts, and none while somebody is too far behind.

    `held_by` names who that is; None when nobody is.
    """

    def __init__(self, rate: float, held_by: Callable[[], str | None]) -> None:
        self.usual = self.rate = rate
        self._held_by = held_by
        self._stopped = False
        self._lock = threading.Lock()
        self._next = 0.0
        self._turns = 0

    def stop(self) -> None:
        """The next turn of each writer fails."""
        self._stopped = True

    def turn(self) -> None:
        assert not self._stopped, "stopped"
        with self._lock:
            self._turns += 1
            self._next = max(self._next + 1 / self.rate, time.monotonic() - 0.02)
            if self._turns % BURST == 0:
                self._next += LULL
            if self._turns % 20 == 0:
                self._wait_for_others()
            wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def _wait_for_others(self) -> None:
        since = time.monotonic()
        while not self._stopped and (name := self._held_by()) is not None:
            assert time.monotonic() < since + HELD, f"{name} stays behind"
            time.sleep(0.005)


class BusyWriter:
    """A thread that does everything that makes an event, below `/long/<name>`, until `enough`."""

    def __init__(self, name: str, writer: RoamingWriter, pace: Pace, enough: Callable[[], bool]) -> None:
        self.home = f"/long/{name}"
        self._writer, self._pace, self._enough = writer, pace, enough
        self._random = random.Random(name)
        self._values: dict[str, str] = {}
        """What it last wrote; where that is not there any more, a comparison is refused, which is no event."""
        self._next: list[Write] = []
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            number = 0
            while not self._enough():
                self._pace.turn()
                write = self._next.pop() if self._next else self._deed(number)
                done = self._writer.write(write)
                if done is not None and done.value is not None:
                    self._values[done.key] = done.value
                number += 1
        except BaseException as error:
            self.failure = error
        finally:
            self._writer.close()

    def _deed(self, number: int) -> Write:
        pick, home = self._random.choice, self.home
        value = f"{self.home} {number}"
        file = f"{home}/k{pick('0123')}"
        below = f"{home}/d/{pick(['x', 'y', 'z', 'deep/x', 'deep/y', '_s/x'])}"
        old = self._values.get(file, "none")
        match self._random.randrange(24):
            case 0 | 1 | 2 | 3:
                return put(file, value)
            case 4 | 5 | 6:
                return put(file, value, prevValue=old)
            case 7 | 8:
                return put(file, value, prevExist="true")
            case 9:
                return put(file, value, prevExist="false")
            case 10:
                return delete(file)
            case 11:
                return delete(file, prevValue=old)
            case 12 | 13:
                return Write("POST", f"{home}/queue", {"value": value})
            case 14 | 15 | 16 | 17:
                return put(below, value)
            case 18:
                return delete(f"{home}/d", recursive="true")
            case 19 | 20:
                return put(f"{home}/_h/{pick('xy')}", value)
            case 21:
                return put(f"{home}/t{number}", value, ttl=pick("12"))
            case 22:
                where = f"{home}/e{number}"
                self._next = [put(f"{where}/x", value), put(f"{where}/_x", value)]
                return Write("PUT", where, {"dir": "true", "ttl": "1"})
            case _:
                self._next = [Write("PUT", f"{home}/r", {"ttl": "60", "refresh": "true"})]
                return put(f"{home}/r", value, ttl="60")


# --- traffic of others -----------------------------------------------------------------------------------------------

_FOREIGN_AT_ONCE = 50
FOLLOWED_EVENTS = 700
"""A watch asks for a younger poll when it stands 600 events back, and the server keeps 1,000."""


def foreign_writes(
    server: Server, count: int, *, connections: int = 8, pause: float = 0.0, followed_by: Sequence[Any] = ()
) -> None:
    """At least `count` writes below /foreign; each connection sends 50 and waits for their answers and `pause` s.

    Also for these watches, where they stand too far back. One or two connections then: each may
    write 50 more meanwhile.
    """
    assert not followed_by or connections <= 2
    threads = [
        threading.Thread(target=_write_foreign, args=(server.url, -(-count // connections), pause, followed_by))
        for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def async_foreign_writes(
    server: Server, count: int, *, connections: int = 8, pause: float = 0.0, followed_by: Sequence[Any] = ()
) -> None:
    """`foreign_writes` beside the running loop."""
    await asyncio.to_thread(
        foreign_writes, server, count, connections=connections, pause=pause, followed_by=followed_by
    )


async def async_entries(server: Server, count: int) -> None:
    """So many entries of raft's log that are no changes of the store: reads with quorum, 1,000 a second."""
    await asyncio.to_thread(_read_with_quorum, server.port, count)


def entries(server: Server, count: int) -> None:
    """`async_entries`."""
    _read_with_quorum(server.port, count)


def _read_with_quorum(port: int, count: int) -> None:
    one = b"GET /v2/keys/foreign?quorum=true HTTP/1.1\r\nHost: etcd\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=HELD) as connection:
        began = time.monotonic()
        for asked in range(_FOREIGN_AT_ONCE, count + _FOREIGN_AT_ONCE, _FOREIGN_AT_ONCE):
            connection.sendall(one * _FOREIGN_AT_ONCE)
            seen, rest = 0, b""
            while seen < _FOREIGN_AT_ONCE:
                rest += connection.recv(65536)
                seen += rest.count(b"HTTP/1.1 404")
                rest = rest[-11:]
            time.sleep(max(0.0, began + asked / 1000 - time.monotonic()))


def _await_watches(watches: Sequence[Any], index: int) -> None:
    until(lambda: all(index - one._feed._polls.settled < FOLLOWED_EVENTS for one in watches), lambda: watches)


def _write_foreign(url: str, count: int, pause: float, followed_by: Sequence[Any]) -> None:
    one = (
        b"PUT /v2/keys/foreign HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 7\r\n\r\nvalue=x"
    )
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=HELD) as connection:
        while count > 0:
            asked, seen, rest = min(count, _FOREIGN_AT_ONCE), 0, b""
            connection.sendall(one * asked)
            while seen < asked:
                rest += connection.recv(65536)
                statuses = re.findall(rb"HTTP/1\.1 (\d)", rest)
                seen += len(statuses)
                count -= statuses.count(b"2")  # what was refused, without a leader, say, is written again
                _await_watches(followed_by, max(map(int, re.findall(rb"X-Etcd-Index: (\d+)\r", rest)), default=0))
                rest = rest[-9:]  # shorter than what is counted
            time.sleep(pause)
