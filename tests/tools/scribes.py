"""Writers past the client under test who make all kinds of changes, and the store's own journal beside them.

Every index is accounted for: by a writer's answer, or by the journal where an answer was lost or a key expired.
Knows no faults and no watches.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.tools.authors import REMOVALS
from tests.tools.written import Done, Write, delete, put, write_all

ANSWERED = 3.0
"""Seconds that a writer waits for an answer before it takes it for lost."""
HELD = 20.0
"""Seconds within which whoever is behind must have caught up."""
BURST, LULL = 2000, 0.3
"""Writes between two lulls, and seconds: a stream falls silent in a lull, and polls take over."""

Ports = Callable[[], list[int]]
"""Where one can ask just now."""


class Book:
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


class Pen:
    """One connection that writes, one request at a time, wherever it can."""

    def __init__(self, ports: Ports, book: Book) -> None:
        self._ports = ports
        self._book = book
        self._sock: socket.socket | None = None

    def write(self, write: Write) -> Done | None:
        """None when it was refused, or nobody was there, or the outcome is unknown; the book knows which."""
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
            node = body["node"]
            value = None if body["action"] in REMOVALS else node.get("value")
            done = Done(node["modifiedIndex"], body["action"], node["key"], value)
            self._book.note(write, done)
            return done
        if body.get("errorCode", 300) >= 300:  # raft's own errors: it may still be applied
            self.close()
            self._book.note(write, None)
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


class ProbeInterval:
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


class Scribe:
    """A thread that does everything that makes an event, below `/long/<name>`, until `enough`."""

    def __init__(self, name: str, pen: Pen, pace: ProbeInterval, enough: Callable[[], bool]) -> None:
        self.home = f"/long/{name}"
        self._pen, self._pace, self._enough = pen, pace, enough
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
                done = self._pen.write(write)
                if done is not None and done.value is not None:
                    self._values[done.key] = done.value
                number += 1
        except BaseException as error:
            self.failure = error
        finally:
            self._pen.close()

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


class Journal:
    """A thread that reads the store's own history, each index asked for by itself, not far behind the writers.

    Reads only what is past: that has the hidden keys too, which a waiting watch does not get (spec/protocol.md
    section 11).
    """

    def __init__(self, ports: Ports, book: Book, first: int) -> None:
        self.known: dict[int, Done] = {}
        self.next = first + 1
        self._ports, self._book = ports, book
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read what is left, and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.wait(0.05):
                self._read_up_to(self._book.last)
            self._read_up_to(self._book.last)
        except BaseException as error:
            self.failure = error

    def _read_up_to(self, last: int) -> None:
        ends = time.monotonic() + HELD
        while self.next <= last:
            until = min(last + 1, self.next + 200)
            try:
                self._read(random.choice(self._ports()), range(self.next, until))
                self.next = until
            except (OSError, ValueError, IndexError):  # it went away within an answer, or nobody is there
                assert time.monotonic() < ends, "the journal cannot be read"
                time.sleep(0.05)

    def _read(self, port: int, indexes: Iterable[int]) -> None:
        missing = list(indexes)
        for _ in range(2):  # a member that lags tells of a later one first
            found = write_all(port, [_first_event_from(index) for index in missing], at_once=50)
            assert len(found) == len(missing), "the journal was too slow"
            self.known |= {done.index: done for done in found}
            missing = [index for index in missing if index not in self.known]


def _first_event_from(index: int) -> Write:
    return Write("GET", f"/?wait=true&recursive=true&waitIndex={index}", {})


def reckon(book: Book, journal: Journal, first: int) -> tuple[list[Done], int]:
    """All changes after `first`, and how many indexes nobody knows. Fails where journal and writers do not agree."""
    told = {index: done for index, done in journal.known.items() if first < index}
    for done in book.done.values():
        assert done.index <= first or told.get(done.index) == done, f"{done} is {told.get(done.index)} in the journal"
    unknown = list(book.unknown)
    for index in sorted(told.keys() - book.done.keys()):
        done = told[index]
        if done.action == "expire":
            assert done.key in book.mortal, f"{done} has no TTL"
            continue
        mine = next((write for write in unknown if _may_be(write, done)), None)
        assert mine is not None, f"nobody made {done}"
        unknown.remove(mine)
    assert book.refreshed.isdisjoint(told), "a refresh has no event"
    nameless = set(range(first + 1, max(told) + 1)) - told.keys() - book.refreshed
    return [told[index] for index in sorted(told)], len(nameless)


def _may_be(write: Write, done: Done) -> bool:
    if "elete" in done.action:
        return write.method == "DELETE" and write.key == done.key
    in_place = done.key == write.key or (write.method == "POST" and done.key.startswith(f"{write.key}/"))
    return write.method != "DELETE" and in_place and write.form.get("value") == done.value
